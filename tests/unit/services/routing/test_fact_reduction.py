"""Reduction: long after its end, routing keeps of a referral what can be counted, and its commitments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from contracts.codes import Answer, InterventionReason, Outcome, Stage, WithdrawalReason
from contracts.errors import Refused
from contracts.facts import (
    AnswerSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    RevocationSubmitted,
    WithdrawalSubmitted,
)
from contracts.organization import Eligibility
from contracts.records import plain
from runtime.identifiers import new_id
from services.routing.adapters.fact_reduction import SqlFactReduction
from services.routing.adapters.tables import DECISIONS, REFERRALS, TIMELINE
from services.routing.handlers import fact_reduction
from services.routing.handlers.fact_reduction import ReduceFacts
from tests.unit.services.routing.samples import DAY, NOW, SENDER, organization, service
from tests.unit.services.routing.workbench import Workbench, event, opened, submitted, workbench

KEPT = 90 * DAY


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two")
    yield bench
    bench.close()


def turn(bench: Workbench, *, after: dt.timedelta) -> None:
    bench.clock.time = NOW + after
    ReduceFacts(
        database=bench.database,
        reduction=SqlFactReduction(),
        policy=bench.policy,
        clock=bench.clock,
        kept=KEPT,
    ).turn()


def answer(offer: OfferOpened, what: Answer) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=what,
        reason=None if what is Answer.accept else "no_capacity",  # type: ignore[arg-type]
    )


def completed(bench: Workbench) -> str:
    referral = new_id()
    (first,) = opened(bench.take(submitted(referral)))
    (second,) = opened(bench.take(event(answer(first, Answer.decline), referral)))
    bench.take(event(answer(second, Answer.accept), referral))
    done = OutcomeSubmitted(referral_id=referral, organization=second.organization, outcome=Outcome.resolved)
    bench.take(event(done, referral))
    return referral


def unplaced_and_withdrawn(bench: Workbench) -> str:
    referral = new_id()
    bench.take(submitted(referral, needs=("shelter.emergency",)))
    withdrawal = WithdrawalSubmitted(
        referral_id=referral, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    bench.take(event(withdrawal, referral))
    return referral


def stored(bench: Workbench, referral: str) -> tuple[Any, list[Any], list[dict[str, Any]]]:
    """Return the row of the referral, its decisions, and the details of its timeline."""
    with bench.database.read() as transaction:
        row = transaction.execute(select(REFERRALS).where(REFERRALS.c.id == referral)).one()
        decisions = transaction.execute(select(DECISIONS).where(DECISIONS.c.referral_id == referral)).all()
        entries = select(TIMELINE.c.detail).where(TIMELINE.c.referral_id == referral)
        return row, list(decisions), list(transaction.execute(entries).scalars())


def test_facts_and_decisions_are_reduced_when_their_time_is_over(bench: Workbench) -> None:
    referral = completed(bench)
    committed = bench.committed()
    turn(bench, after=KEPT - dt.timedelta(seconds=1))
    row, decisions, _ = stored(bench, referral)
    assert "consent" in row.facts
    assert all(decision.record and decision.salt for decision in decisions)
    turn(bench, after=KEPT)
    row, decisions, _ = stored(bench, referral)
    assert row.facts == {"needs": ["legal"], "urgency": "routine", "region": "RU"}
    assert decisions
    for decision in decisions:
        assert (decision.record, decision.salt, decision.asked) == ({}, None, None)
        assert set(decision.proofs) <= {"ru.one", "ru.two"}
        assert decision.commitment == committed[decision.id]
        assert decision.erased_at == NOW + KEPT


@pytest.mark.parametrize("record", [{"candidates": [{}]}, {"candidates": 1}, [1]])
def test_decision_that_somebody_rewrote_keeps_no_other_from_being_reduced(
    bench: Workbench, record: Any
) -> None:
    referral = completed(bench)
    with bench.database.write() as transaction:
        transaction.execute(update(DECISIONS).values(record=record))
    turn(bench, after=KEPT)
    _, decisions, _ = stored(bench, referral)
    assert [(decision.record, decision.proofs) for decision in decisions] == [({}, {})] * len(decisions)


def test_reduced_referral_is_shown_without_facts_and_decisions(bench: Workbench) -> None:
    referral = completed(bench)
    turn(bench, after=KEPT)
    for viewer, oversight in ((SENDER, False), ("kg.auditor", True)):
        shown = plain(bench.queries.referral(referral, viewer, oversight=oversight))
        assert (shown["facts"], shown["status"], shown["outcome"]) == (None, "completed", "resolved")
        assert (shown["needs"], shown["urgency"], shown["region"]) == (["legal"], "routine", "RU")
        assert [offer["state"] for offer in shown["offers"]] == ["declined", "accepted"]
        assert bench.queries.decisions(referral, viewer, oversight=oversight) == []


def test_candidates_of_a_reduced_referral_are_refused(bench: Workbench) -> None:
    referral = completed(bench)
    assert bench.coordination.candidates(referral, "ru.one", NOW).candidates
    turn(bench, after=KEPT)
    for only in (None, "ru.one"):
        with pytest.raises(Refused) as refused:
            bench.coordination.candidates(referral, only, NOW + KEPT)
        assert refused.value.slug == "not-in-this-state"


def test_timeline_of_a_reduced_referral_does_not_say_which_rules_were_overridden(bench: Workbench) -> None:
    """That the person meets no conditions of a service says something about the person."""
    referral = new_id()
    bench.take(submitted(referral))
    bench.absorb([organization("ru.far", service(eligibility=Eligibility(stages=(Stage.returned,))))])
    bench.commands.submit_placement(
        referral, "ru.far", "kg.coordinator", NOW, reason=InterventionReason.other
    )
    bench.take(bench.published()[-1])
    assert {"overridden": ["person_eligible"]}.items() <= _placed(bench, referral).items()
    withdrawal = WithdrawalSubmitted(
        referral_id=referral, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    bench.take(event(withdrawal, referral))
    turn(bench, after=KEPT)
    kept = _placed(bench, referral)
    assert "overridden" not in kept
    assert kept["reason"] == "other"


def _placed(bench: Workbench, referral: str) -> dict[str, Any]:
    (detail,) = [detail for detail in stored(bench, referral)[2] if "offers" in detail]
    return dict(detail)


def test_timeline_of_a_reduced_referral_keeps_no_facts(bench: Workbench) -> None:
    referral = unplaced_and_withdrawn(bench)
    assert any("needs" in detail for detail in stored(bench, referral)[2])
    turn(bench, after=KEPT)
    details = stored(bench, referral)[2]
    assert not any({"needs", "region", "urgency"} & detail.keys() for detail in details)
    assert {"reason": "person_declined"} in [
        {name: value for name, value in detail.items() if name == "reason"} for detail in details
    ]


def test_facts_are_reduced_at_once_when_consent_is_withdrawn(bench: Workbench) -> None:
    referral = new_id()
    bench.take(submitted(referral))
    bench.take(event(RevocationSubmitted(referral_id=referral, organization=SENDER), referral))
    turn(bench, after=dt.timedelta(0))
    row, decisions, _ = stored(bench, referral)
    assert "consent" not in row.facts
    assert all(decision.record == {} for decision in decisions)
    assert bench.queries.referral(referral, SENDER, oversight=False).facts is None


def test_facts_are_reduced_at_once_when_consent_is_withdrawn_after_completion(bench: Workbench) -> None:
    referral = completed(bench)
    published = bench.take(event(RevocationSubmitted(referral_id=referral, organization=SENDER), referral))
    assert [fact.routing_key for fact in published] == ["referral.withdrawn"]
    turn(bench, after=dt.timedelta(0))
    row, decisions, _ = stored(bench, referral)
    assert (row.status, "consent" in row.facts) == ("completed", False)
    assert all(decision.record == {} for decision in decisions)
    assert bench.queries.referral(referral, SENDER, oversight=False).facts is None


def test_open_referral_is_never_reduced(bench: Workbench) -> None:
    referral = new_id()
    bench.take(submitted(referral))
    turn(bench, after=1000 * DAY)
    row, decisions, _ = stored(bench, referral)
    assert "consent" in row.facts
    assert all(decision.salt for decision in decisions)


def test_turn_reduces_a_bounded_number_and_the_next_one_continues(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_reduction, "REFERRALS_AT_ONCE", 2)
    monkeypatch.setattr(fact_reduction, "TRANSACTIONS_A_TURN", 1)
    referrals = [unplaced_and_withdrawn(bench) for _ in range(3)]

    def left() -> int:
        return sum("consent" in stored(bench, referral)[0].facts for referral in referrals)

    turn(bench, after=KEPT)
    assert left() == 1
    turn(bench, after=KEPT)
    turn(bench, after=KEPT)
    assert left() == 0
