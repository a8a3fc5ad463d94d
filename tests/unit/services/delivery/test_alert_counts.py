"""The coordinators' mailbox under a flood of alerts, on both databases."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select

from contracts import facts
from contracts.codes import Urgency
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
            "urgency": None,
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


def unplaced(urgency: Urgency) -> Event[Fact]:
    return event(
        facts.ReferralUnplaced(
            referral_id=new_id(),
            sender=SENDER,
            decision_id=new_id(),
            urgency=urgency,
            region="RU-MOW",
            needs=("shelter",),
            reason="no_candidate",
        )
    )


def test_routine_referrals_withhold_no_alert_of_an_emergency(bench: Workbench) -> None:
    emergencies = [unplaced(Urgency.emergency) for _ in range(2)]
    routine = [unplaced(Urgency.routine) for _ in range(2 * SINGLE)]
    bench.receive(*routine[:SINGLE], emergencies[0], *routine[SINGLE:])
    bench.receive(emergencies[1])
    found = bench.mailbox(COORDINATORS, limit=500)
    ids = [one["id"] for one in found]
    assert [one.id for one in routine if one.id in ids] == [one.id for one in routine[:SINGLE]]
    assert {one.id for one in emergencies} < set(ids)
    counts = [one["data"] for one in found if one["type"] == facts.AlertsCounted.type]
    assert [(one["urgency"], one["messages"]) for one in counts] == [("routine", 2 * SINGLE)]


def test_revocations_of_the_offers_of_one_organization_are_counted(bench: Workbench) -> None:
    def revoked(reason: str, organization: str = STRANGER) -> Event[Fact]:
        return event(
            facts.OfferRevoked(
                referral_id=new_id(),
                offer_id=new_id(),
                organization=organization,
                sender=SENDER,
                reason=reason,
            )
        )

    # Those for another reason are not messages of the coordinators, and do not count.
    bench.receive(*(revoked("withdrawn") for _ in range(SINGLE)))
    flood = [revoked("organization_suspended") for _ in range(50)]
    emergency = unplaced(Urgency.emergency)
    bench.receive(*flood, emergency, other := revoked("approval_ended", "kz.other"))
    found = bench.mailbox(COORDINATORS, limit=500)
    assert {one["id"] for one in found if one["type"] != facts.AlertsCounted.type} == {
        *(one.id for one in flood[:SINGLE]),
        emergency.id,
        other.id,
    }
    (count,) = [one["data"] for one in found if one["type"] == facts.AlertsCounted.type]
    assert (count["organization"], count["message_type"], count["messages"]) == (
        STRANGER,
        facts.OfferRevoked.type,
        50,
    )
    assert len(bench.mailbox(STRANGER, limit=500)) == SINGLE + 50


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
