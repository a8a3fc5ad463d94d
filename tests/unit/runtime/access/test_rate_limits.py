"""The rates of an organisation's requests and of what it submits."""

from __future__ import annotations

import pytest

from contracts.errors import RateLimited, TooManySubmissions
from runtime.access.rate_limits import RequestRates, SubmissionRates, Work


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_caller_has_its_own_requests_a_sixth_of_a_minute_at_once() -> None:
    clock = FakeClock()
    rates = RequestRates(18, clock)
    assert [rates.take("kg.a") for _ in range(5)] == [True, True, True, False, False]
    assert rates.take("kg.b")
    assert rates.remaining("kg.b").left == 2
    clock.now += 4
    assert [rates.take("kg.a") for _ in range(2)] == [True, False]


def test_refusal_of_a_request_says_when_the_next_is_taken() -> None:
    rates = RequestRates(6, FakeClock())
    assert rates.take("kg.a")
    error = rates.refusal("kg.a")
    assert (error.retry_after, error.problem()["status"]) == (10, 429)
    assert error.problem()["type"] == "urn:kopuro:problem:too-many-requests"


def test_refusal_of_a_request_names_what_may_be_sent_at_once_and_in_a_minute() -> None:
    rates = RequestRates(12, FakeClock())
    assert [rates.take("kg.a") for _ in range(3)] == [True, True, False]
    assert rates.refusal("kg.a").detail == (
        "Your organisation has sent more than 2 requests at once, or more than 12 a minute. A body counts"
        " once for each started 64 KiB."
    )


def test_refusal_of_an_address_names_what_may_be_sent_at_once_and_in_a_minute() -> None:
    rates = RequestRates(6, FakeClock())
    for _ in range(4):
        rates.require_public("192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        rates.require_public("192.0.2.1")
    assert refused.value.detail == (
        "Your address has sent more than 4 requests at once, or more than 24 a minute, without a token."
    )


def test_bodies_count_once_for_each_further_piece_and_may_overdraw() -> None:
    clock = FakeClock()
    rates = RequestRates(60, clock)  # ten at once
    assert rates.take("kg.a")
    for _ in range(9):
        rates.use("kg.a")
    assert not rates.is_overdrawn("kg.a")
    rates.use("kg.a")
    assert rates.is_overdrawn("kg.a")
    assert not rates.is_overdrawn("kg.b")
    clock.now += 1
    assert not rates.is_overdrawn("kg.a")
    assert not rates.take("kg.a")


def test_referrals_and_statements_are_counted_apart() -> None:
    rates = SubmissionRates(per_minute=60, burst=3, clock=FakeClock())
    assert rates.take("kg.a", Work.referrals, 5) == 3
    with pytest.raises(TooManySubmissions):
        rates.require_any("kg.a", Work.referrals)
    rates.require_any("kg.a", Work.statements)
    rates.require_any("kg.b", Work.referrals)
    assert rates.take("kg.a", Work.statements, 5) == 3


def test_refusal_of_lines_says_when_all_of_them_are_taken() -> None:
    clock = FakeClock()
    rates = SubmissionRates(per_minute=60, burst=100, clock=clock)
    assert rates.take("kg.a", Work.referrals, 100) == 100
    error = rates.refusal("kg.a", Work.referrals, 40)
    assert (error.retry_after, error.problem()["retry_after"]) == (40, 40)
    clock.now += 40
    assert rates.take("kg.a", Work.referrals, 40) == 40


def test_repeated_and_refused_submissions_cost_a_tenth_and_may_overdraw() -> None:
    rates = SubmissionRates(per_minute=60, burst=100, clock=FakeClock())
    assert rates.take("kg.a", Work.referrals, 100) == 100
    # Thirty turned out to be repeated.
    rates.settle("kg.a", Work.referrals, taken=100, new=70, idle=30)
    assert rates.remaining("kg.a", Work.referrals).left == 27
    rates.settle("kg.a", Work.referrals, taken=0, new=0, idle=1000)
    assert rates.refusal("kg.a", Work.referrals).retry_after == 74
