"""A sender that submits and withdraws referrals again and again, behind routing's real handlers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from contracts.codes import Urgency, WithdrawalReason
from contracts.envelope import Event
from contracts.facts import (
    CaseRefused,
    Fact,
    OfferOpened,
    OfferRevoked,
    ReferralSubmitted,
    ReferralUnplaced,
    ReferralWithdrawn,
    RevocationSubmitted,
    WithdrawalSubmitted,
)
from runtime.identifiers import new_id
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.tables import WITHDRAWN_OFFERS
from services.routing.domain.fairness import Fairness
from services.routing.domain.places import OffersPerSender
from services.routing.domain.policy import RoutingPolicy
from services.routing.handlers.fact_reduction import ReduceFacts
from tests.support.events import message_of
from tests.unit.services.routing.samples import DAY, HOUR, NOW, SENDER, facts
from tests.unit.services.routing.workbench import Workbench, accepted_by, event, opened, sender, workbench

ALLOWED = OffersPerSender().withdrawn
OTHER = "kg.other"
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", sender(OTHER))
    yield bench
    bench.close()


def submission(
    at: dt.datetime, *, by: str = SENDER, urgency: Urgency = Urgency.routine, **changes: Any
) -> Event[Fact]:
    referral_id = new_id()
    given = facts(urgency=urgency, **changes)
    return event(ReferralSubmitted(referral_id=referral_id, sender=by, facts=given), referral_id, at)


def withdrawal(referral_id: str, at: dt.datetime, *, by: str = SENDER) -> Event[Fact]:
    fact = WithdrawalSubmitted(
        referral_id=referral_id, organization=by, reason=WithdrawalReason.entered_in_error
    )
    return event(fact, referral_id, at)


def cycles(bench: Workbench, number: int, at: dt.datetime = NOW, **changes: Any) -> list[Fact]:
    """Submit and withdraw one referral after the other; return the published facts."""
    published: list[Fact] = []
    for _ in range(number):
        one = submission(at, **changes)
        published += bench.take(one)
        published += bench.take(withdrawal(one.partition_key, at, by=changes.get("by", SENDER)))
    return published


def rows(bench: Workbench) -> list[Any]:
    with bench.database.read() as transaction:
        return list(transaction.execute(select(WITHDRAWN_OFFERS)).all())


def test_cycles_of_submission_and_withdrawal_reach_a_candidate_a_bounded_number_of_times(
    bench: Workbench,
) -> None:
    published = cycles(bench, 50)
    assert sum(isinstance(one, OfferOpened) for one in published) == ALLOWED
    assert sum(isinstance(one, OfferRevoked) for one in published) == ALLOWED
    # Every withdrawal takes effect.
    assert sum(isinstance(one, ReferralWithdrawn) for one in published) == 50


def test_batches_that_are_submitted_and_withdrawn_reach_a_candidate_once_in_the_time_of_the_policy(
    bench: Workbench,
) -> None:
    offers = 0
    for _ in range(5):
        batch = [submission(NOW) for _ in range(20)]
        offers += len(opened(bench.take(*batch)))
        bench.take(*(withdrawal(one.partition_key, NOW) for one in batch))
    assert offers == 20


def test_another_sender_is_offered_and_takes_the_place_at_once(bench: Workbench) -> None:
    cycles(bench, ALLOWED + 1)
    assert len(opened(bench.take(submission(NOW, by=OTHER)))) == 1


def test_few_corrections_delay_nothing(bench: Workbench) -> None:
    cycles(bench, ALLOWED - 1)
    assert len(opened(bench.take(submission(NOW)))) == 1


def test_waiting_referral_is_offered_when_the_withdrawn_offers_count_no_longer(bench: Workbench) -> None:
    cycles(bench, ALLOWED, NOW + MINUTE)
    waiting = submission(NOW + 2 * MINUTE)
    (unplaced,) = bench.take(waiting)
    assert isinstance(unplaced, ReferralUnplaced)
    until = NOW + 5 * MINUTE + HOUR
    (decision,) = bench.queries.decisions(waiting.partition_key, SENDER, oversight=False)
    (failure,) = [rule for rule in decision["candidates"][0]["rules"] if not rule["passed"]]
    detail = {"withdrawn": ALLOWED, "until": until.isoformat().replace("+00:00", "Z")}
    assert (failure["reason"], failure["detail"]) == ("withdrawn_too_often", detail)
    assert bench.fire(until - MINUTE) == []
    (offer,) = opened(bench.fire(until))
    assert offer.referral_id == waiting.partition_key


def test_referral_that_waits_for_the_time_takes_no_share_of_the_places_from_others(bench: Workbench) -> None:
    cycles(bench, ALLOWED)
    bench.take(submission(NOW))
    assert bench.observations()["ru.one"].services == {}


def test_withdrawn_routine_referrals_keep_no_emergency_from_its_candidates(bench: Workbench) -> None:
    cycles(bench, 2 * ALLOWED, urgency=Urgency.urgent)
    cycles(bench, 2 * ALLOWED)
    assert len(opened(bench.take(submission(NOW, urgency=Urgency.emergency)))) == 1
    assert opened(bench.take(submission(NOW, urgency=Urgency.urgent))) == []


def test_cycles_of_emergencies_are_bounded_by_themselves_and_a_coordinator_may_place_the_next(
    bench: Workbench,
) -> None:
    published = cycles(bench, 3 * ALLOWED, urgency=Urgency.emergency)
    assert sum(isinstance(one, OfferOpened) for one in published) == ALLOWED
    emergency = submission(NOW, urgency=Urgency.emergency)
    (unplaced,) = bench.take(emergency)
    assert isinstance(unplaced, ReferralUnplaced)
    bench.commands.submit_placement(emergency.partition_key, "ru.one", "olga", NOW)
    placement = bench.published()[-1]
    assert [offer.organization for offer in opened(bench.take(placement))] == ["ru.one"]


def test_next_candidate_is_asked_instead(database_url: str) -> None:
    bench = workbench(database_url, "ru.one", "ru.two")
    cycles(bench, ALLOWED, to="ru.one")
    assert opened(bench.take(submission(NOW, to="ru.one"))) == []
    for _ in range(3):
        assert [one.organization for one in opened(bench.take(submission(NOW)))] == ["ru.two"]
    bench.close()


@pytest.mark.parametrize("end", ["revoked consent", "refused case", "withdrawn after acceptance"])
def test_every_end_without_an_outcome_counts(bench: Workbench, end: str) -> None:
    offers = 0
    for _ in range(3 * ALLOWED):
        one = submission(NOW)
        asked = opened(bench.take(one))
        offers += len(asked)
        if end == "revoked consent":
            last: Fact = RevocationSubmitted(referral_id=one.partition_key, organization=SENDER)
        elif end == "refused case":
            last = CaseRefused(referral_id=one.partition_key, organization=SENDER, problem={})
        else:
            bench.take(*map(accepted_by, asked))
            last = withdrawal(one.partition_key, NOW).data
        source = "/kg/vault" if isinstance(last, CaseRefused) else "/kg/intake"
        bench.take(message_of(last, one.partition_key, time=NOW, source=source))
    assert offers == ALLOWED


def test_referral_that_was_withdrawn_long_after_its_offer_counts_no_longer(bench: Workbench) -> None:
    early = [submission(NOW) for _ in range(ALLOWED)]
    bench.take(*early)
    bench.take(*(withdrawal(one.partition_key, NOW + 2 * HOUR) for one in early))
    assert len(opened(bench.take(submission(NOW + 2 * HOUR)))) == 1


def test_second_process_and_a_restarted_one_count_the_same(database_url: str, bench: Workbench) -> None:
    cycles(bench, ALLOWED)
    restarted = Workbench(database_url, ["ru.one"])
    restarted.commands.recall()
    assert restarted.observations() == bench.observations()
    assert opened(restarted.take(submission(NOW))) == []
    restarted.close()


def test_policy_sets_the_number_and_the_time(bench: Workbench) -> None:
    strict = OffersPerSender(withdrawn=3, withdrawn_for=600)
    bench.policy = lambda: RoutingPolicy(fairness=Fairness(explore=0.0), offers_per_sender=strict)
    assert sum(isinstance(one, OfferOpened) for one in cycles(bench, 10)) == 3
    assert len(opened(bench.take(submission(NOW + 10 * MINUTE)))) == 1


def test_counts_are_deleted_once_no_policy_counts_them(bench: Workbench) -> None:
    cycles(bench, 3)
    assert [row.offers for row in rows(bench)] == [3]
    # Beside a later one, and by the timer.
    cycles(bench, 1, NOW + DAY + 10 * MINUTE)
    assert [row.offers for row in rows(bench)] == [1]
    bench.clock.time = NOW + 3 * DAY
    ReduceFacts(
        database=bench.database, reduction=SqlFactReduction(), clock=bench.clock, kept=90 * DAY
    ).turn()
    assert rows(bench) == []
