"""The coordinators' mailbox under a flood of alerts, on both databases."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from contracts import facts
from contracts.envelope import Event
from contracts.facts import Fact
from runtime.identifiers import new_id
from services.delivery.adapters.tables import ALERT_COUNTS
from services.delivery.domain.alert_counts import SINGLE
from services.delivery.domain.recipients import COORDINATORS
from tests.unit.services.delivery.workbench import NOW, SENDER, STRANGER, Workbench, event

HOUR = dt.timedelta(hours=1)


def unanswered(sender: str) -> Event[Fact]:
    return event(
        facts.ReferralUnanswered(
            referral_id=new_id(), sender=sender, since=NOW - HOUR, waits_for=("ru.moscow-migrant-support",)
        )
    )


def types(bench: Workbench) -> list[str]:
    return [message["type"] for message in bench.mailbox(COORDINATORS, limit=500)]


def test_flood_of_one_sender_leaves_a_bounded_number_of_alerts_and_their_count(bench: Workbench) -> None:
    flood = [unanswered(SENDER) for _ in range(300)]
    bench.receive(*flood[:150])
    bench.receive(*flood[150:])
    found = bench.mailbox(COORDINATORS, limit=500)
    alerts = [one for one in found if one["type"] == facts.ReferralUnanswered.type]
    assert [one["id"] for one in alerts] == [one.id for one in flood[:SINGLE]]
    counts = [one["data"] for one in found if one["type"] == facts.AlertsCounted.type]
    assert counts == [
        {
            "organization": SENDER,
            "message_type": facts.ReferralUnanswered.type,
            "since": "2026-03-01T12:00:00Z",
            "messages": number,
        }
        for number in (150, 300)
    ]


def test_alert_of_another_sender_or_of_another_type_comes_during_a_flood(bench: Workbench) -> None:
    bench.receive(*(unanswered(SENDER) for _ in range(50)))
    other = unanswered(STRANGER)
    overdue = event(
        facts.ReferralOverdue(referral_id=new_id(), sender=SENDER, organization=STRANGER, due_at=NOW)
    )
    bench.receive(other, overdue)
    assert [one["id"] for one in bench.mailbox(COORDINATORS, limit=500)][-2:] == [other.id, overdue.id]


def test_sender_of_a_withheld_alert_gets_its_own_message(bench: Workbench) -> None:
    flood = [
        event(
            facts.ReferralOverdue(
                referral_id=new_id(), sender=f"kg.sender-{number}", organization=STRANGER, due_at=NOW
            )
        )
        for number in range(SINGLE + 1)
    ]
    bench.receive(*flood)
    assert [one["id"] for one in bench.mailbox(f"kg.sender-{SINGLE}")] == [flood[-1].id]
    assert len(bench.mailbox(STRANGER, limit=500)) == SINGLE + 1
    assert types(bench).count(facts.ReferralOverdue.type) == SINGLE


def test_alerts_of_the_next_hour_come_one_by_one_again_and_old_counts_are_forgotten(bench: Workbench) -> None:
    bench.receive(*(unanswered(SENDER) for _ in range(SINGLE + 1)))
    bench.clock.time = NOW + 3 * HOUR
    bench.receive(unanswered(SENDER))
    assert types(bench).count(facts.ReferralUnanswered.type) == SINGLE + 1
    with bench.database.read() as transaction:
        (kept,) = transaction.execute(select(ALERT_COUNTS)).all()
    assert (kept.since, kept.messages) == (NOW + 3 * HOUR, 1)


def test_redelivered_alerts_are_counted_once(bench: Workbench) -> None:
    flood = [unanswered(SENDER) for _ in range(SINGLE)]
    bench.receive(*flood)
    bench.receive(*flood)
    bench.receive(last := unanswered(STRANGER))
    assert [one["id"] for one in bench.mailbox(COORDINATORS, limit=500)] == [
        *(one.id for one in flood),
        last.id,
    ]
