"""The rates of submissions: each line counts, repeated ones do not, and lines beyond the rate are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.errors import RateLimited, TooManySubmissions, Unavailable
from runtime.access.rate_limits import SubmissionRates, Work
from runtime.storage.database import DatabaseUnavailable
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import CUSTODY_KID, MOSCOW, OFFER, OSH, document, sealed
from tests.unit.services.intake.test_idempotency_over_http import ApiClient, batch, refused

BURST = 10


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limited(bench: IntakeBench, clock: FakeClock) -> IntakeBench:
    """Ten submissions at once and one a second."""
    bench.rates = SubmissionRates(per_minute=60, burst=BURST, clock=clock)
    bench.handlers = bench.new_handlers()
    return bench


def lines(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [document(idempotency_key=f"line-{number}") for number in range(first, first + count)]


def left(bench: IntakeBench, work: Work = Work.referrals) -> int:
    return bench.rates.remaining(OSH, work).left


def test_lines_beyond_the_rate_are_refused_and_what_was_taken_is_kept(limited: IntakeBench) -> None:
    found = ApiClient(limited, OSH).refer_many(batch(*lines(13)))
    assert [result["status"] for result in found] == [202] * 10 + [429] * 3
    assert refused(found) == dict.fromkeys((11, 12, 13), "too-many-submissions")
    # Time for the three, and for three tenths that their refusals cost.
    assert found[-1]["problem"]["retry_after"] == 4
    assert limited.counts()[0] == 10


def test_refused_lines_are_admitted_after_the_delay(limited: IntakeBench, clock: FakeClock) -> None:
    osh = ApiClient(limited, OSH)
    found = osh.refer_many(batch(*lines(13)))
    clock.now += found[-1]["problem"]["retry_after"]
    # The whole batch again: the ten that were admitted need nothing of the rate.
    found = osh.refer_many(batch(*lines(13)))
    assert refused(found) == {}
    assert limited.counts()[0] == 13


@pytest.mark.parametrize("invalid", [0, 7])
@pytest.mark.parametrize("repeated", [0, 5])
@pytest.mark.parametrize("beyond", [1, 3, 10])
def test_all_refused_lines_are_admitted_after_the_delay_and_not_a_second_before(
    limited: IntakeBench, clock: FakeClock, invalid: int, repeated: int, beyond: int
) -> None:
    osh, faulty = ApiClient(limited, OSH), b"\n{" * invalid
    osh.refer_many(batch(*lines(repeated)))
    clock.now += BURST
    found = osh.refer_many(batch(*lines(repeated + BURST + beyond)) + faulty)
    late = [result for result in found if result["status"] == 429]
    assert len(late) == beyond
    (delay,) = {result["problem"]["retry_after"] for result in late}
    clock.now += delay - 1
    assert left(limited) < beyond
    clock.now += 1
    assert refused(osh.refer_many(batch(*lines(beyond, first=repeated + BURST)))) == {}
    assert limited.counts()[0] == repeated + BURST + beyond


def test_repeated_line_that_would_be_refused_now_delays_the_refused_ones_as_little_as_another(
    limited: IntakeBench, clock: FakeClock
) -> None:
    osh = ApiClient(limited, OSH)
    first = osh.refer_many(batch(*lines(5)))
    clock.now += BURST
    limited.custody_kids = lambda: ("new-" + "c" * 39,)
    new = [{**one, "case": sealed("new-" + "c" * 39)} for one in lines(BURST + 1, first=5)]
    found = osh.refer_many(batch(*lines(5), *new))
    assert [one["id"] for one in found[:5]] == [one["id"] for one in first]
    # One line, and six tenths that the five and its refusal cost.
    assert found[-1]["problem"]["retry_after"] == 2
    clock.now += 2
    assert refused(osh.refer_many(batch(new[-1]))) == {}


def test_line_that_could_not_be_read_now_delays_the_refused_ones_by_a_tenth(
    limited: IntakeBench, clock: FakeClock
) -> None:
    read = [0]

    def away_for_five() -> tuple[str]:
        read[0] += 1
        if read[0] <= 5:
            raise Unavailable("The directory is away.")
        return (CUSTODY_KID,)

    limited.custody_kids = away_for_five
    osh = ApiClient(limited, OSH)
    found = osh.refer_many(batch(*lines(5 + BURST + 1)))
    assert refused(found) == {**dict.fromkeys(range(1, 6), "unavailable"), 16: "too-many-submissions"}
    assert found[-1]["problem"]["retry_after"] == 2
    clock.now += 2
    assert refused(osh.refer_many(batch(*lines(1, first=5 + BURST)))) == {}


def test_single_submission_is_admitted_after_the_delay(limited: IntakeBench, clock: FakeClock) -> None:
    osh = ApiClient(limited, OSH)
    osh.refer_many(batch(*lines(10)))
    body = json.dumps(document()).encode()
    with pytest.raises(TooManySubmissions) as caught:
        osh.refer(body, "new")
    clock.now += caught.value.retry_after
    assert osh.refer(body, "new")
    assert limited.counts()[0] == 11


def test_repeated_submissions_cost_a_tenth(limited: IntakeBench) -> None:
    osh = ApiClient(limited, OSH)
    first = osh.refer_many(batch(*lines(5)))
    assert left(limited) == 5
    assert osh.refer_many(batch(*lines(5))) == first
    assert left(limited) == 4
    body = json.dumps(document()).encode()
    assert osh.refer(body, "k") == osh.refer(body, "k")
    assert left(limited) == 3


def test_invalid_lines_cost_half_and_may_overdraw(limited: IntakeBench) -> None:
    osh = ApiClient(limited, OSH)
    assert refused(osh.refer_many(b"\n".join([b"{"] * 30))).keys() == set(range(1, 31))
    with pytest.raises(RateLimited) as caught:
        limited.rates.require_any(OSH, Work.referrals)
    assert caught.value.retry_after == 6
    assert limited.counts() == (0, 0, 0)


def test_single_submission_beyond_the_rate_is_refused(limited: IntakeBench) -> None:
    osh = ApiClient(limited, OSH)
    osh.refer_many(batch(*lines(10)))
    body = json.dumps(document()).encode()
    with pytest.raises(TooManySubmissions):
        osh.refer(body, "new")
    assert osh.refer_many(batch(*lines(1)))[0]["status"] == 202
    assert limited.counts()[0] == 10


def test_statements_have_a_rate_of_their_own_and_each_organization_too(limited: IntakeBench) -> None:
    ApiClient(limited, OSH).refer_many(batch(*lines(12)))
    with limited.database.write() as transaction:
        limited.handlers._store.note_offers(transaction, [(OFFER, OFFER, OSH)])
    statement = {"submit": "accept", "offer_id": OFFER}
    found = ApiClient(limited, OSH).submit_many(batch(*[statement] * 12))
    assert [result["status"] for result in found] == [202] * 10 + [429] * 2
    assert refused(ApiClient(limited, MOSCOW).refer_many(batch(*lines(10)))) == {}


def test_submission_that_was_not_stored_does_not_count(
    limited: IntakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_admissions: object) -> None:
        raise DatabaseUnavailable("down")

    monkeypatch.setattr(limited.handlers.commits._commits, "submit", broken)
    with pytest.raises(DatabaseUnavailable):
        ApiClient(limited, OSH).refer_many(batch(*lines(10)))
    assert left(limited) == 9
