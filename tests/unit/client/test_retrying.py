from kopuro_client import RetryPolicy

POLICY = RetryPolicy(attempts=4, first_delay=0.5, longest_delay=1.5, patience=10.0)


def test_retry_delays_double_up_to_limit_and_end_with_attempts() -> None:
    delays = [POLICY.delay(attempt=n, elapsed=0.0, retry_after=None) for n in (1, 2, 3, 4)]
    assert delays == [0.5, 1.0, 1.5, None]


def test_retry_after_is_used_exactly() -> None:
    assert POLICY.delay(attempt=1, elapsed=0.0, retry_after=7.0) == 7.0
    assert POLICY.delay(attempt=3, elapsed=0.0, retry_after=0.0) == 0.0


def test_wait_beyond_patience_gives_up() -> None:
    assert POLICY.delay(attempt=1, elapsed=0.0, retry_after=10.1) is None
    assert POLICY.delay(attempt=1, elapsed=9.8, retry_after=None) is None


def test_lasting_policy_retries_for_days_with_bounded_delays() -> None:
    lasting = RetryPolicy.lasting()
    day = 86_400.0
    assert lasting.delay(attempt=10_000, elapsed=30 * day, retry_after=None) == 10.0
    assert lasting.delay(attempt=10_000, elapsed=30 * day, retry_after=120.0) == 120.0
    assert RetryPolicy.lasting(60.0).delay(attempt=9, elapsed=55.0, retry_after=None) is None
