"""The most requests of an organisation in a minute, counted by the real library."""

from __future__ import annotations

from runtime.access.rate_limits import RateLimits, Remaining, rate_limited


def test_each_caller_has_its_own_requests() -> None:
    limits = RateLimits(3)
    assert [limits.take("kg.a") for _ in range(5)] == [True, True, True, False, False]
    assert limits.take("kg.b")
    assert limits.remaining("kg.b").requests == 2
    left = limits.remaining("kg.a")
    assert (left.limit, left.requests) == (3, 0)
    assert 0 < left.reset <= 60


def test_headers_follow_the_draft() -> None:
    assert Remaining(limit=100, requests=7, reset=12).headers() == {
        "RateLimit-Policy": '"organization";q=100;w=60',
        "RateLimit": '"organization";r=7;t=12',
    }


def test_error_says_when_to_try_again() -> None:
    error = rate_limited(Remaining(limit=100, requests=0, reset=12))
    assert (error.retry_after, error.problem()["status"]) == (12, 429)
    assert rate_limited(Remaining(limit=100, requests=0, reset=0)).retry_after == 1
