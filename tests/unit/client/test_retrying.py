from kopuro_client import RetryPolicy

POLICY = RetryPolicy(attempts=4, first_delay=0.5, longest_delay=1.5, patience=10.0)


def test_delays_double_up_to_the_longest_and_end_with_the_attempts() -> None:
    delays = [POLICY.delay(attempt=n, elapsed=0.0, retry_after=None) for n in (1, 2, 3, 4)]
    assert delays == [0.5, 1.0, 1.5, None]


def test_a_retry_after_is_followed_to_the_letter() -> None:
    assert POLICY.delay(attempt=1, elapsed=0.0, retry_after=7.0) == 7.0
    assert POLICY.delay(attempt=3, elapsed=0.0, retry_after=0.0) == 0.0


def test_a_wait_beyond_our_patience_is_not_begun() -> None:
    assert POLICY.delay(attempt=1, elapsed=0.0, retry_after=10.1) is None
    assert POLICY.delay(attempt=1, elapsed=9.8, retry_after=None) is None


def test_lasting_policy_repeats_for_days_without_growing_delays() -> None:
    lasting = RetryPolicy.lasting()
    day = 86_400.0
    assert lasting.delay(attempt=10_000, elapsed=30 * day, retry_after=None) == 10.0
    assert lasting.delay(attempt=10_000, elapsed=30 * day, retry_after=120.0) == 120.0
    assert RetryPolicy.lasting(60.0).delay(attempt=9, elapsed=55.0, retry_after=None) is None
