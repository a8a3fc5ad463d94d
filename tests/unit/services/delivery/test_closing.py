"""Closing: what mailboxes hold about a person is erased when the offer or the referral ends."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from contracts.codes import (
    ApplicationStep,
    ApprovalEnd,
    ApprovalKind,
    ApprovalRefusal,
    DeclineReason,
    HandBackReason,
    Outcome,
)
from contracts.envelope import Event, decode
from contracts.facts import (
    AcceptanceRevoked,
    AlertClosed,
    ApplicationDecided,
    ApplicationSubmitted,
    ApprovalGranted,
    ApprovalRefused,
    DeliveryAcknowledged,
    DeliveryDelivered,
    Fact,
    MessageClosed,
    OfferExpired,
    OfferRevoked,
    ReferralAcceptorDeclinedPart,
    ReferralAcceptorSuspended,
    ReferralCompleted,
    ReferralFailed,
    ReferralHandedBack,
    ReferralOverdue,
    ReferralUnanswered,
    ReferralWithdrawn,
    ServiceApprovalEnded,
)
from runtime.identifiers import new_id
from runtime.storage.change_poll import LONGEST_SECONDS
from services.delivery.adapters.tables import MESSAGES
from services.delivery.delivery_records import MarkDelivered
from services.delivery.domain.closing import UNREAD_NOTES_KEPT
from services.delivery.domain.recipients import COORDINATORS
from services.delivery.handlers import KEPT
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    NOW,
    OFFER,
    REFERRAL,
    SEALED,
    SECOND_OFFER,
    SENDER,
    STRANGER,
    Workbench,
    declined,
    event,
    opened,
    released_note,
    unplaced,
    withdrawn,
)

PARTIES: dict[str, Any] = {"referral_id": REFERRAL, "sender": SENDER, "organization": ACCEPTOR}
COMPLETED = ReferralCompleted(**PARTIES, outcome=Outcome.resolved)
ENDS_AT_ONCE: list[tuple[Fact, str]] = [
    (ReferralWithdrawn(**PARTIES, reason="consent_revoked"), "consent_revoked"),
    (ReferralWithdrawn(**PARTIES, reason="entered_in_error"), "entered_in_error"),
    (ReferralWithdrawn(**PARTIES, reason="placed_elsewhere"), "withdrawn"),
    (ReferralFailed(**PARTIES, reason="case_unreadable"), "failed"),
]
OFFER_ENDS: list[tuple[Fact, str]] = [
    (declined().data, "declined"),
    (OfferExpired(**PARTIES, offer_id=OFFER), "expired"),
    (OfferRevoked(**PARTIES, offer_id=OFFER, reason="accepted_elsewhere"), "revoked"),
]
# Each is in a body: the situation of an offer, the needs of an unplaced referral, a sealed note.
CANARIES = ("origin_country", "legal.wage_claim", SEALED)


def of_type(bench: Workbench, organization: str, fact: str, **options: Any) -> list[dict[str, Any]]:
    return [m for m in bench.mailbox(organization, **options) if m["type"] == f"kopuro.{fact}.v1"]


def canaries(bench: Workbench) -> list[str]:
    stored = bench.everything_stored()
    return [canary for canary in CANARIES if canary in stored]


@pytest.mark.parametrize(("end", "reason"), ENDS_AT_ONCE)
def test_ended_referral_leaves_no_content_in_any_mailbox(bench: Workbench, end: Fact, reason: str) -> None:
    messages = [opened(), opened(STRANGER, new_id()), unplaced(), released_note(), released_note(ACCEPTOR)]
    bench.receive(*messages)
    assert canaries(bench) == [*CANARIES]
    bench.receive(event(end))
    assert canaries(bench) == []
    for organization in (ACCEPTOR, STRANGER, SENDER, COORDINATORS):
        (first, *_) = of_type(bench, organization, "message.closed")
        assert first["data"]["reason"] == reason


@pytest.mark.parametrize(("end", "reason"), OFFER_ENDS)
def test_ended_offer_is_closed_for_its_candidate_only(bench: Workbench, end: Fact, reason: str) -> None:
    ended, other, later = opened(), opened(STRANGER, new_id()), opened(offer_id=new_id())
    bench.receive(ended, other, later)
    bench.receive(event(end))
    (closed,) = of_type(bench, ACCEPTOR, "message.closed")
    assert (closed["id"], closed["data"]) == (
        ended.id,
        {
            "referral_id": REFERRAL,
            "message_type": "kopuro.offer.opened.v1",
            "reason": reason,
            "closed_at": "2026-03-01T12:00:00Z",
        },
    )
    assert [m["id"] for m in of_type(bench, ACCEPTOR, "offer.opened")] == [later.id]
    assert [m["id"] for m in of_type(bench, STRANGER, "offer.opened")] == [other.id]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize("message", [opened(), unplaced(), released_note()], ids=lambda m: m.type)
def test_message_after_withdrawal_is_stored_without_content(
    bench: Workbench, message: Event[Fact], in_one_batch: bool
) -> None:
    if in_one_batch:
        bench.receive(withdrawn(), message)
    else:
        bench.receive(withdrawn())
        bench.receive(message)
    assert canaries(bench) == []
    recipient = ACCEPTOR if message.type == opened().type else SENDER
    assert [m["id"] for m in of_type(bench, recipient, "message.closed")] == [message.id]


def test_offer_that_arrives_after_its_end_is_stored_without_content(bench: Workbench) -> None:
    bench.receive(declined())
    bench.receive(opened(), later := opened(offer_id=new_id()))
    assert [m["type"] for m in bench.mailbox(ACCEPTOR)] == [
        "kopuro.message.closed.v1",
        "kopuro.offer.opened.v1",
    ]
    assert bench.mailbox(ACCEPTOR)[1]["id"] == later.id


@pytest.mark.parametrize(
    "end",
    [
        ReferralHandedBack(**PARTIES, offer_id=OFFER, reason=HandBackReason.other),
        AcceptanceRevoked(**PARTIES, offer_id=OFFER, coordinator="kg.desk", reason="report_overdue"),
    ],
    ids=lambda end: end.type,
)
def test_end_of_acceptance_leaves_the_next_offer_to_the_same_organization_open(
    bench: Workbench, end: Fact
) -> None:
    former, note = opened(), released_note(ACCEPTOR)
    bench.receive(former, note)
    # Delivery reads both at once, after an interruption.
    bench.receive(event(end), again := opened(offer_id=SECOND_OFFER))
    assert [m["id"] for m in of_type(bench, ACCEPTOR, "offer.opened")] == [again.id]
    closed = [m["id"] for m in of_type(bench, ACCEPTOR, "message.closed")]
    assert closed == [former.id, note.id]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (ReferralHandedBack(**PARTIES, offer_id=OFFER, reason=HandBackReason.other), "handed_back"),
        (
            AcceptanceRevoked(**PARTIES, offer_id=OFFER, coordinator="kg.desk", reason="report_overdue"),
            "acceptance_revoked",
        ),
    ],
)
def test_note_to_an_acceptor_that_arrives_after_the_end_of_its_acceptance_has_no_content(
    bench: Workbench, end: Fact, reason: str
) -> None:
    """The vault forwarded it before it read that end. Notes of the next acceptance keep their content."""
    bench.receive(event(end))
    late, to_sender = released_note(ACCEPTOR, acceptance=OFFER), released_note(SENDER)
    of_next = released_note(ACCEPTOR, acceptance=SECOND_OFFER)
    bench.receive(late)
    assert canaries(bench) == []
    bench.receive(of_next, to_sender)
    (closed,) = of_type(bench, ACCEPTOR, "message.closed")
    assert (closed["id"], closed["data"]["reason"]) == (late.id, reason)
    assert [m["id"] for m in of_type(bench, ACCEPTOR, "note.delivered")] == [of_next.id]
    assert [m["id"] for m in of_type(bench, SENDER, "note.delivered")] == [to_sender.id]


def test_note_keeps_its_content_while_the_acceptance_of_an_expired_offer_is_in_force(
    bench: Workbench,
) -> None:
    """The answer was in time and was read later, so the expiry was provisional."""
    bench.receive(event(OfferExpired(**PARTIES, offer_id=OFFER)))
    bench.receive(note := released_note(ACCEPTOR, acceptance=OFFER))
    assert [m["id"] for m in of_type(bench, ACCEPTOR, "note.delivered")] == [note.id]
    bench.receive(event(ReferralHandedBack(**PARTIES, offer_id=OFFER, reason=HandBackReason.other)))
    bench.receive(late := released_note(ACCEPTOR, acceptance=OFFER))
    assert canaries(bench) == []
    closed = of_type(bench, ACCEPTOR, "message.closed")
    assert [(m["id"], m["data"]["reason"]) for m in closed] == [
        (note.id, "handed_back"),
        (late.id, "handed_back"),
    ]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    "end",
    [
        ReferralHandedBack(**PARTIES, offer_id=OFFER, reason=HandBackReason.other),
        AcceptanceRevoked(**PARTIES, offer_id=OFFER, coordinator="kg.desk", reason="report_overdue"),
    ],
    ids=lambda end: end.type,
)
def test_end_of_acceptance_that_is_read_late_leaves_notes_of_the_next_one_by_the_same_organization(
    bench: Workbench, end: Fact, in_one_batch: bool
) -> None:
    """The queue of events lags behind that of notes."""
    expired = event(OfferExpired(**PARTIES, offer_id=SECOND_OFFER))
    former = released_note(ACCEPTOR, acceptance=OFFER)
    of_next = released_note(ACCEPTOR, acceptance=SECOND_OFFER)
    bench.receive(former, of_next)
    # The second offer was accepted in time, after its provisional expiry.
    if in_one_batch:
        bench.receive(event(end), expired)
    else:
        bench.receive(event(end))
        bench.receive(expired)
    assert [m["id"] for m in of_type(bench, ACCEPTOR, "message.closed")] == [former.id]
    assert [m["id"] for m in of_type(bench, ACCEPTOR, "note.delivered")] == [of_next.id]
    bench.receive(withdrawn())
    assert canaries(bench) == []


def test_acknowledged_message_is_closed_too(bench: Workbench) -> None:
    offer, note = opened(), released_note()
    bench.receive(offer, note)
    for organization, message in ((ACCEPTOR, offer), (SENDER, note)):
        bench.mailbox(organization)
        bench.partner.acknowledge(organization, message.id)
    bench.receive(withdrawn())
    assert canaries(bench) == []
    assert bench.states()[:2] == ["acknowledged", "acknowledged"]


def test_closed_message_keeps_place_cursor_and_acknowledgement(bench: Workbench) -> None:
    notice, offer = event(OfferRevoked(**PARTIES, offer_id=new_id(), reason="withdrawn")), opened()
    bench.receive(notice, offer)
    after = bench.partner.page(ACCEPTOR, after=0, limit=1, wait=0).last
    bench.receive(declined())
    (closed,) = bench.mailbox(ACCEPTOR, after=after)
    assert closed["id"] == offer.id
    bench.partner.acknowledge(ACCEPTOR, offer.id)
    bench.partner.acknowledge(ACCEPTOR, offer.id)
    assert bench.mailbox(ACCEPTOR, after=after) == []


def test_closed_message_that_was_never_delivered_is_not_recorded_as_delivered(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    bench.receive(declined())
    bench.mailbox(ACCEPTOR)
    bench.partner.acknowledge(ACCEPTOR, offer.id)
    assert bench.sent() == []


def test_acknowledgement_of_message_closed_after_delivery_is_recorded(bench: Workbench) -> None:
    offer = opened()
    bench.receive(offer)
    bench.mailbox(ACCEPTOR)
    bench.receive(declined())
    bench.partner.acknowledge(ACCEPTOR, offer.id)
    assert [type(one.data) for one in bench.sent()] == [DeliveryDelivered, DeliveryAcknowledged]


def test_message_closed_while_a_poll_returns_it_is_recorded_as_delivered(bench: Workbench) -> None:
    bench.receive(opened())
    bench.receive(declined())
    # The poll had read the message before it was closed, and returns its content.
    with bench.database.write() as transaction:
        bench.records.write(transaction, [MarkDelivered(sequences=[1])])
    assert [type(one.data) for one in bench.sent()] == [DeliveryDelivered]


def test_revoked_acceptance_closes_what_the_former_acceptor_has(bench: Workbench) -> None:
    bench.receive(opened(), released_note(ACCEPTOR), to_sender := released_note(SENDER))
    bench.receive(event(AcceptanceRevoked(**PARTIES, offer_id=OFFER, coordinator="kg.aigul")))
    closed = of_type(bench, ACCEPTOR, "message.closed")
    assert [m["data"]["reason"] for m in closed] == ["acceptance_revoked"] * 2
    assert [m["id"] for m in of_type(bench, SENDER, "note.delivered")] == [to_sender.id]


@pytest.mark.parametrize("late", [False, True])
def test_unread_note_outlasts_completion_until_it_is_acknowledged(bench: Workbench, late: bool) -> None:
    bench.receive(opened(), unplaced())
    note = released_note()
    for message in (event(COMPLETED), note) if late else (note, event(COMPLETED)):
        bench.receive(message)
    assert canaries(bench) == [SEALED]
    bench.partner.forget_old()
    assert [m["data"]["note"] for m in of_type(bench, SENDER, "note.delivered")] == [SEALED]
    bench.partner.acknowledge(SENDER, note.id)
    assert bench.partner.forget_old()
    assert canaries(bench) == []


def test_acknowledged_note_is_closed_at_once_when_its_referral_is_completed(bench: Workbench) -> None:
    note = released_note()
    bench.receive(note)
    bench.partner.acknowledge(SENDER, note.id)
    bench.receive(event(COMPLETED))
    assert canaries(bench) == []


def test_unread_note_of_completed_referral_is_closed_at_once_when_consent_is_withdrawn(
    bench: Workbench,
) -> None:
    bench.receive(released_note(), event(COMPLETED))
    bench.receive(event(ReferralWithdrawn(**PARTIES, reason="consent_revoked")))
    assert canaries(bench) == []
    (closed,) = of_type(bench, SENDER, "message.closed")
    assert closed["data"]["reason"] == "consent_revoked"


def test_unread_note_of_completed_referral_is_closed_when_its_time_is_over(bench: Workbench) -> None:
    bench.receive(released_note(), event(COMPLETED))
    bench.clock.time += UNREAD_NOTES_KEPT - dt.timedelta(seconds=1)
    bench.partner.forget_old()
    assert of_type(bench, SENDER, "note.delivered")
    bench.clock.time += dt.timedelta(seconds=1)
    bench.partner.forget_old()
    (closed,) = of_type(bench, SENDER, "message.closed")
    assert closed["data"]["reason"] == "completed"


def test_content_of_other_referrals_stays(bench: Workbench) -> None:
    bench.receive(opened())
    with bench.database.write() as transaction:
        transaction.execute(update(MESSAGES).values(referral_id=new_id()))
    bench.receive(withdrawn())
    assert of_type(bench, ACCEPTOR, "offer.opened")


def test_closed_message_follows_the_published_schema(bench: Workbench) -> None:
    bench.receive(opened(), declined())
    (body,) = bench.partner.page(ACCEPTOR, after=0, limit=1, wait=0).bodies
    closed = decode(body)
    assert closed.data == MessageClosed(
        referral_id=REFERRAL, message_type="kopuro.offer.opened.v1", reason="declined", closed_at=NOW
    )
    assert closed.source == "/kg/delivery"


def test_ended_offers_are_forgotten(bench: Workbench) -> None:
    bench.receive(declined())
    bench.clock.time += KEPT + dt.timedelta(seconds=1)
    assert bench.partner.forget_old()
    with bench.database.read() as transaction:
        assert not transaction.exec_driver_sql("SELECT * FROM ended_offers").all()


def test_erased_content_is_in_no_file_of_the_database(tmp_path: Path) -> None:
    bench = Workbench(f"sqlite:///{tmp_path / 'delivery.sqlite'}")
    notes = [released_note(note=SEALED.replace("Y2lwaGVydGV4dA", "Q" * 20_000)) for _ in range(5)]
    bench.receive(opened(), unplaced(), *notes)
    bench.receive(withdrawn())
    with bench.database.read() as transaction:
        assert set(transaction.execute(select(MESSAGES.c.content)).scalars()) == {None, "consent_revoked"}
    assert bench.database.checkpoint_wal()
    bench.database.close()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert REFERRAL.encode() in files
    for canary in (*CANARIES, "Q" * 100):
        assert canary.encode() not in files


def unanswered() -> Event[Fact]:
    return event(ReferralUnanswered(referral_id=REFERRAL, sender=SENDER, since=NOW, waits_for=(ACCEPTOR,)))


def test_alert_is_closed_when_it_was_acted_on(bench: Workbench) -> None:
    alert = unanswered()
    bench.receive(alert, unplaced())
    bench.receive(event(AlertClosed(referral_id=REFERRAL, message_type=ReferralUnanswered.type)))
    (closed,) = of_type(bench, COORDINATORS, "message.closed")
    assert (closed["id"], closed["data"]["reason"]) == (alert.id, "acted_on")
    assert of_type(bench, COORDINATORS, "referral.unplaced")
    assert bench.mailbox(SENDER)[0]["type"] == "kopuro.referral.unplaced.v1"


@pytest.mark.parametrize(
    ("alert", "own"),
    [
        (unplaced(), SENDER),
        (event(ReferralOverdue(**PARTIES, due_at=NOW)), ACCEPTOR),
        (event(ReferralAcceptorSuspended(**PARTIES)), SENDER),
    ],
    ids=["unplaced", "overdue", "acceptor_suspended"],
)
def test_coordinators_alert_is_closed_and_the_parties_keep_their_message(
    bench: Workbench, alert: Event[Fact], own: str
) -> None:
    bench.receive(alert)
    bench.receive(event(AlertClosed(referral_id=REFERRAL, message_type=alert.type, by="kg.aigul")))
    (closed,) = of_type(bench, COORDINATORS, "message.closed")
    assert (closed["id"], closed["data"]["reason"]) == (alert.id, "acted_on")
    assert alert.id in [message["id"] for message in bench.mailbox(own) if message["type"] == alert.type]


def test_end_of_the_referral_closes_the_coordinators_overdue_alert(bench: Workbench) -> None:
    bench.receive(event(ReferralOverdue(**PARTIES, due_at=NOW)))
    bench.receive(event(COMPLETED))
    assert of_type(bench, COORDINATORS, "referral.overdue") == []
    assert of_type(bench, ACCEPTOR, "referral.overdue")


def test_alert_that_was_reported_again_stays_open(bench: Workbench) -> None:
    again = unanswered()
    bench.receive(
        unanswered(), event(AlertClosed(referral_id=REFERRAL, message_type=ReferralUnanswered.type)), again
    )
    assert again.id in [one["id"] for one in of_type(bench, COORDINATORS, "referral.unanswered")]


def test_alert_about_a_second_suspension_stays_open(bench: Workbench) -> None:
    suspensions = [event(ReferralAcceptorSuspended(**PARTIES)) for _ in range(2)]
    readmission = event(AlertClosed(referral_id=REFERRAL, message_type=ReferralAcceptorSuspended.type))
    bench.receive(suspensions[0], readmission, suspensions[1])
    found = [one["id"] for one in of_type(bench, COORDINATORS, "referral.acceptor_suspended")]
    assert suspensions[1].id in found


APPLICATION = new_id()
APPLIED = ApplicationSubmitted(application_id=APPLICATION, content="sha256:" + "0" * 64, expires_at=NOW)
SERVICE: dict[str, Any] = {"organization": ACCEPTOR, "service": "clinic"}
WIDENED = ServiceApprovalEnded(
    **SERVICE, approved_needs=("health.hiv",), reason=ApprovalEnd.widened, by=ACCEPTOR
)
DECLINED_PART = ReferralAcceptorDeclinedPart(**PARTIES, reason=DeclineReason.conflict_of_interest)
REQUEST: dict[str, Any] = {
    "id": new_id(),
    "kind": ApprovalKind.service,
    "subject": f"{ACCEPTOR}/clinic",
    "requested_by": "kg.coordinator",
    "by": "kg.second",
    "organization": ACCEPTOR,
}
GRANTED = ApprovalGranted(**REQUEST, digest="0" * 64)


def decided(step: ApplicationStep, application_id: str = APPLICATION) -> Fact:
    return ApplicationDecided(application_id=application_id, step=step, by="kg.coordinator")


DECISIONS: list[tuple[Fact, Fact]] = [
    *(
        (APPLIED, decided(step))
        for step in (
            ApplicationStep.vetted,
            ApplicationStep.refused,
            ApplicationStep.withdrawn,
            ApplicationStep.expired,
        )
    ),
    (WIDENED, GRANTED),
    (WIDENED, ApprovalRefused(**REQUEST, reason=ApprovalRefusal.refused)),
    (WIDENED, replace(WIDENED, reason=ApprovalEnd.withdrawn)),
    (WIDENED, replace(WIDENED, reason=ApprovalEnd.removed)),
    (DECLINED_PART, ReferralHandedBack(**PARTIES, offer_id=OFFER, reason=HandBackReason.other)),
    (DECLINED_PART, AcceptanceRevoked(**PARTIES, offer_id=OFFER, coordinator="kg.aigul", reason="other")),
]
OTHER_DECISIONS: list[tuple[Fact, Fact]] = [
    (APPLIED, decided(ApplicationStep.vetted, new_id())),
    (APPLIED, decided(ApplicationStep.vetting_requested)),
    (APPLIED, decided(ApplicationStep.vetting_ended)),
    (WIDENED, replace(GRANTED, subject=f"{ACCEPTOR}/another")),
    (WIDENED, replace(GRANTED, kind=ApprovalKind.vetting)),
    (WIDENED, ApprovalRefused(**REQUEST, reason=ApprovalRefusal.expired)),
    (WIDENED, ApprovalRefused(**REQUEST, reason=ApprovalRefusal.stale)),
    # Withdrawn by its requester.
    (WIDENED, ApprovalRefused(**{**REQUEST, "by": "kg.coordinator"}, reason=ApprovalRefusal.refused)),
]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(("alert", "decision"), DECISIONS)
def test_alert_is_closed_when_its_subject_is_decided(
    bench: Workbench, alert: Fact, decision: Fact, in_one_batch: bool
) -> None:
    arrived, following = event(alert), event(decision)
    for batch in [[arrived, following]] if in_one_batch else [[arrived], [following]]:
        bench.receive(*batch)
    found = [one for one in bench.mailbox(COORDINATORS) if one["id"] == arrived.id]
    assert [one["type"] for one in found] == ["kopuro.message.closed.v1"]
    assert found[0]["data"]["reason"] == "acted_on"
    assert found[0]["data"]["message_type"] == alert.type
    if alert is not APPLIED:
        party = SENDER if alert is DECLINED_PART else ACCEPTOR
        assert arrived.id in [one["id"] for one in bench.mailbox(party) if one["type"] == alert.type]


@pytest.mark.parametrize(("alert", "decision"), OTHER_DECISIONS)
def test_alert_stays_open_while_its_subject_is_undecided(
    bench: Workbench, alert: Fact, decision: Fact
) -> None:
    bench.receive(event(alert))
    bench.receive(event(decision))
    assert of_type(bench, COORDINATORS, "message.closed") == []
    assert alert.type in [one["type"] for one in bench.mailbox(COORDINATORS)]


def test_alert_about_an_approval_that_ended_again_stays_open(bench: Workbench) -> None:
    first, again = event(WIDENED), event(WIDENED)
    bench.receive(first)
    bench.receive(event(GRANTED), again)
    assert [one["id"] for one in of_type(bench, COORDINATORS, "service_approval.ended")] == [again.id]
    assert [one["id"] for one in of_type(bench, COORDINATORS, "message.closed")] == [first.id]


def test_alert_that_was_closed_before_it_was_reported_again_is_closed(bench: Workbench) -> None:
    first, again = unanswered(), unanswered()
    bench.receive(first)
    bench.receive(event(AlertClosed(referral_id=REFERRAL, message_type=ReferralUnanswered.type)), again)
    assert [one["id"] for one in of_type(bench, COORDINATORS, "referral.unanswered")] == [again.id]
    assert [one["id"] for one in of_type(bench, COORDINATORS, "message.closed")] == [first.id]


def test_end_of_the_referral_closes_its_alert(bench: Workbench) -> None:
    bench.receive(unanswered())
    bench.receive(event(COMPLETED))
    assert of_type(bench, COORDINATORS, "referral.unanswered") == []


def test_mailboxes_are_cleaned_in_time_although_nothing_is_committed(bench: Workbench) -> None:
    bench.receive(released_note(), event(COMPLETED))
    assert bench.partner.clean() is False
    bench.clock.time += UNREAD_NOTES_KEPT - dt.timedelta(seconds=LONGEST_SECONDS + 1)
    assert bench.partner.clean() is False
    bench.clock.time += dt.timedelta(seconds=1)
    assert bench.partner.clean() is True, "a message is due before a run without a reason"
    bench.clock.time += dt.timedelta(seconds=LONGEST_SECONDS)
    assert bench.partner.clean() is False
    assert [m["data"]["reason"] for m in of_type(bench, SENDER, "message.closed")] == ["completed"]
