"""Token buckets under a clock that the tests set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.access.token_buckets import Allowance, TokenBuckets, rate_headers

ALLOWANCE = Allowance(name="referrals", burst=10, per_minute=60)


class FakeClock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_burst_is_available_at_once_and_the_rate_afterwards() -> None:
    clock = FakeClock()
    buckets = TokenBuckets(ALLOWANCE, clock)
    assert [buckets.take("kg.a", 6), buckets.take("kg.a", 6), buckets.take("kg.a")] == [6, 4, 0]
    assert buckets.take("kg.b") == 1
    clock.now += 2.5
    assert [buckets.take("kg.a", 6), buckets.take("kg.a")] == [2, 0]
    clock.now += 1000
    assert buckets.take("kg.a", 100) == 10


def test_overdrawn_bucket_owes_its_own_size_at_most() -> None:
    clock = FakeClock()
    buckets = TokenBuckets(ALLOWANCE, clock)
    buckets.use("kg.a", 1_000_000)
    assert buckets.seconds_until("kg.a") == 11
    assert buckets.remaining("kg.a").left == 0
    clock.now += 11
    assert buckets.take("kg.a", 5) == 1


def test_returned_tokens_fill_the_bucket_up_to_its_burst() -> None:
    buckets = TokenBuckets(ALLOWANCE, FakeClock())
    assert buckets.take("kg.a", 4) == 4
    buckets.use("kg.a", -4)
    buckets.use("kg.a", -100)
    assert buckets.take("kg.a", 100) == 10


def test_ten_tenths_are_one() -> None:
    clock = FakeClock()
    buckets = TokenBuckets(ALLOWANCE, clock)
    for _ in range(90):
        buckets.use("kg.a", 0.1)
    assert buckets.take("kg.a") == 1
    assert buckets.take("kg.a") == 0


def test_seconds_until_more_than_a_burst_are_those_until_a_burst() -> None:
    buckets = TokenBuckets(ALLOWANCE, FakeClock())
    assert buckets.take("kg.a", 10) == 10
    assert [buckets.seconds_until("kg.a", wanted) for wanted in (1, 4, 10, 1000)] == [1, 4, 10, 10]


def test_headers_follow_the_draft() -> None:
    clock = FakeClock()
    buckets = TokenBuckets(ALLOWANCE, clock)
    other = TokenBuckets(Allowance(name="organization", burst=500, per_minute=3000), clock)
    assert buckets.take("kg.a", 7) == 7
    assert rate_headers(other.remaining("kg.a"), buckets.remaining("kg.a")) == {
        "RateLimit-Policy": '"organization";q=500;w=10, "referrals";q=10;w=10',
        "RateLimit": '"organization";r=500;t=0, "referrals";r=3;t=7',
    }


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.floats(0, 20)),
        max_size=30,
    )
)
def test_no_caller_gets_more_than_a_burst_and_its_rate(steps: list[tuple[int, float]]) -> None:
    clock = FakeClock()
    buckets = TokenBuckets(ALLOWANCE, clock)
    taken = 0
    for wanted, pause in steps:
        taken += buckets.take("kg.a", wanted)
        clock.now += pause
    assert taken <= ALLOWANCE.burst + (clock.now - 1000.0) * ALLOWANCE.per_second + 1e-3
