"""Emergencies without an answer: the coordinators are notified once for each wait, on both databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import sqlite

from contracts.codes import Answer, HandBackReason, Urgency, WithdrawalReason
from contracts.errors import Unavailable
from contracts.facts import (
    AlertClosed,
    AnswerSubmitted,
    Fact,
    HandBackSubmitted,
    OfferOpened,
    ReferralUnanswered,
    WithdrawalSubmitted,
)
from runtime.identifiers import new_id
from runtime.storage.migrate import differences
from services.routing.adapters.unanswered import SqlUnansweredEmergencies, due_emergencies
from services.routing.domain.policy import Deadlines, RoutingPolicy
from services.routing.handlers.unanswered import ReportUnanswered
from services.routing.migrations import unanswered as migration
from tests.unit.services.routing.samples import HOUR, NOW, SENDER
from tests.unit.services.routing.workbench import Workbench, event, opened, submitted, workbench

ALERT = dt.timedelta(minutes=20)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two")
    yield bench
    bench.close()


def reporting(bench: Workbench) -> ReportUnanswered:
    return ReportUnanswered(
        database=bench.database,
        store=bench.store,
        emergencies=SqlUnansweredEmergencies(),
        outbox=bench.outbox,
        policy=bench.policy,
        source="/kg/routing",
        clock=bench.clock,
        after_commit=lambda: None,
    )


def told(bench: Workbench, at: dt.datetime) -> list[Fact]:
    """Run one turn at a time; return what it published."""
    known = {one.id for one in bench.published()}
    bench.clock.time = at
    reporting(bench).turn()
    return [one.data for one in bench.published() if one.id not in known]


def emergency(bench: Workbench) -> list[OfferOpened]:
    return opened(bench.take(submitted(new_id(), urgency=Urgency.emergency)))


def answered(bench: Workbench, offer: OfferOpened, what: Answer, at: dt.datetime) -> list[Fact]:
    answer = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=what,
        reason=None if what is Answer.accept else "other",  # type: ignore[arg-type]
    )
    return bench.take(event(answer, offer.referral_id, at))


def test_coordinators_are_notified_once_of_an_unanswered_emergency(bench: Workbench) -> None:
    first, second = emergency(bench)
    assert told(bench, NOW + ALERT - SECOND) == []
    (report,) = told(bench, NOW + ALERT)
    assert report == ReferralUnanswered(
        referral_id=first.referral_id,
        sender=SENDER,
        since=NOW,
        waits_for=tuple(sorted({first.organization, second.organization})),
    )
    assert told(bench, NOW + ALERT + HOUR / 2) == []


def test_other_urgencies_are_not_reported(bench: Workbench) -> None:
    bench.take(submitted(new_id(), urgency=Urgency.urgent))
    assert told(bench, NOW + HOUR) == []


def test_decline_by_one_does_not_start_the_time_again(bench: Workbench) -> None:
    first, second = emergency(bench)
    answered(bench, first, Answer.decline, NOW + ALERT / 2)
    (report,) = told(bench, NOW + ALERT)
    assert isinstance(report, ReferralUnanswered)
    assert report.waits_for == (second.organization,)


def test_accepted_emergency_is_not_reported(bench: Workbench) -> None:
    first, _ = emergency(bench)
    answered(bench, first, Answer.accept, NOW)
    assert told(bench, NOW + ALERT) == []


def test_alert_is_closed_once_the_emergency_is_accepted(bench: Workbench) -> None:
    first, _ = emergency(bench)
    told(bench, NOW + ALERT)
    answered(bench, first, Answer.accept, NOW + ALERT)
    closed = AlertClosed(
        referral_id=first.referral_id, message_type=ReferralUnanswered.type, by=first.organization
    )
    assert told(bench, NOW + ALERT + SECOND) == [closed]
    assert told(bench, NOW + ALERT + 2 * SECOND) == []


def test_end_of_an_unanswered_emergency_is_its_last_fact(bench: Workbench) -> None:
    first, _ = emergency(bench)
    told(bench, NOW + ALERT)
    withdrawal = WithdrawalSubmitted(
        referral_id=first.referral_id, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    bench.take(event(withdrawal, first.referral_id, NOW + ALERT))
    assert told(bench, NOW + ALERT + SECOND) == []
    with bench.database.read() as transaction:
        assert SqlUnansweredEmergencies().over(transaction, 10) == []


def test_another_wait_after_a_hand_back_is_reported_again(bench: Workbench) -> None:
    first, _ = emergency(bench)
    told(bench, NOW + ALERT)
    answered(bench, first, Answer.accept, NOW + ALERT)
    told(bench, NOW + ALERT + SECOND)
    bench.absorb(["ru.three"])
    bench.clock.time = NOW + HOUR
    hand_back = HandBackSubmitted(
        referral_id=first.referral_id, organization=first.organization, reason=HandBackReason.no_capacity
    )
    asked = opened(bench.take(event(hand_back, first.referral_id, NOW + HOUR)))
    assert told(bench, NOW + HOUR + ALERT - SECOND) == []
    (report,) = told(bench, NOW + HOUR + ALERT)
    assert isinstance(report, ReferralUnanswered)
    assert (report.since, report.waits_for) == (
        NOW + HOUR,
        tuple(sorted(offer.organization for offer in asked)),
    )


def test_later_offers_that_nobody_answers_either_are_reported_again(bench: Workbench) -> None:
    first, second = emergency(bench)
    told(bench, NOW + ALERT)
    bench.absorb(["ru.three"])
    later = NOW + HOUR / 2
    bench.clock.time = later
    asked = [
        *opened(answered(bench, first, Answer.decline, later)),
        *opened(answered(bench, second, Answer.decline, later)),
    ]
    assert {offer.organization for offer in asked} == {"ru.three"}
    assert told(bench, later + ALERT - SECOND) == []
    (report,) = told(bench, later + ALERT)
    assert isinstance(report, ReferralUnanswered)
    assert (report.since, report.waits_for) == (later, ("ru.three",))
    assert told(bench, later + ALERT + 5 * SECOND) == []


def test_offer_that_was_reported_is_not_reported_again_beside_a_later_one(bench: Workbench) -> None:
    first, _second = emergency(bench)
    told(bench, NOW + ALERT)
    bench.absorb(["ru.three"])
    bench.clock.time = NOW + ALERT + SECOND
    assert opened(answered(bench, first, Answer.decline, NOW + ALERT + SECOND))
    assert told(bench, NOW + 3 * ALERT) == []


def test_policy_decides_the_time_and_half_of_the_answer_time_is_the_most(bench: Workbench) -> None:
    bench.policy = lambda: RoutingPolicy(emergency_alert=60)
    emergency(bench)
    assert len(told(bench, NOW + dt.timedelta(seconds=60))) == 1
    short = RoutingPolicy(emergency=Deadlines(answer=30, progress=60))
    assert short.alert_after() == dt.timedelta(seconds=15)


def test_two_processes_report_one_wait_once(bench: Workbench, database_url: str) -> None:
    emergency(bench)
    bench.clock.time = NOW + ALERT
    other = Workbench(database_url, ("ru.one", "ru.two"))
    other.clock.time = NOW + ALERT

    def turn(one: Workbench) -> None:
        try:
            reporting(one).turn()
        except Unavailable:
            reporting(one).turn()  # the other one was faster

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(turn, (bench, other)))
    other.close()
    assert sum(isinstance(one.data, ReferralUnanswered) for one in bench.published()) == 1


def test_search_reads_open_emergencies_only(sqlite_database: str) -> None:
    bench = workbench(sqlite_database)
    wanted = due_emergencies(NOW, 10).compile(
        dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
    )
    with bench.database.read() as transaction:
        plan = " ".join(row[3] for row in transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {wanted}"))
    bench.close()
    # Only open referrals are counted, in the order of the queue.
    assert "referrals USING COVERING INDEX referrals_queue (status=? AND priority=?)" in plan
    assert "offers USING INDEX offers_referral" in plan
    assert "TEMP B-TREE" not in plan


def test_migration_adds_and_drops_the_table(bench: Workbench) -> None:
    with bench.database.write() as connection, Operations.context(MigrationContext.configure(connection)):
        migration.downgrade()
        migration.upgrade()
    assert differences("services.routing", bench.database) == []
