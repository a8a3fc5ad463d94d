"""Steps of the services: each processes a request or message in one transaction and returns its events.

The caller commits, then publishes. This is the usual way: a crash between the two loses the event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, insert, select, update

from benchmarks.peers.records import ENTRIES, MAILBOX, OFFERS, REFERRALS, SUBMISSIONS
from benchmarks.story import rank
from contracts.codes import Answer, Outcome, ProgressStatus
from contracts.envelope import Envelope, Event
from contracts.facts import (
    AnswerSubmitted,
    DeliveryAcknowledged,
    DeliveryDelivered,
    Fact,
    OfferAccepted,
    OfferOpened,
    OutcomeSubmitted,
    ProgressSubmitted,
    ReferralCompleted,
    ReferralProgressed,
    ReferralSubmitted,
)
from contracts.records import load, plain
from contracts.referral import ReferralSubmission, facts_of
from runtime.identifiers import new_id
from services.delivery.domain.delivery import RECORDED
from services.delivery.domain.recipients import recipients_of
from services.routing.domain.directory import Directory

ANSWER_WITHIN = dt.timedelta(hours=24)

INTAKE_KEYS = (OfferOpened,)
ROUTING_KEYS = (ReferralSubmitted, AnswerSubmitted, ProgressSubmitted, OutcomeSubmitted)
DELIVERY_KEYS = (OfferOpened, OfferAccepted, ReferralProgressed, ReferralCompleted)
# The facts that each service publishes. Some frameworks have one exchange per service.
PUBLISHED_FACTS: Mapping[str, tuple[type[Fact], ...]] = {
    "intake": ROUTING_KEYS,
    "routing": DELIVERY_KEYS,
    "delivery": (DeliveryDelivered, DeliveryAcknowledged),
}

T = TypeVar("T", bound=Fact)


def event(service: str, data: T, cause: Envelope | None = None) -> Event[T]:
    """Return an event of one of the peers' services."""
    message_id = new_id()
    return Event(
        id=message_id,
        source=f"/kg/{service}",
        time=dt.datetime.now(dt.UTC),
        partition_key=data.referral_id,  # type: ignore[attr-defined]  # every fact of a journey has one
        correlation_id=cause.correlation_id if cause else message_id,
        causation_id=cause.id if cause else None,
        data=data,
    )


# --- intake --------------------------------------------------------------------------------------


def submit(transaction: Connection, organization: str, body: bytes) -> Event[Fact]:
    """Process `POST /v1/referrals`. Raises Refused for a body that violates the contract."""
    submission = load(ReferralSubmission, orjson.loads(body))
    referral_id = new_id()
    _keep(transaction, referral_id, organization, submission.case.encode())
    fact = ReferralSubmitted(referral_id=referral_id, sender=organization, facts=facts_of(submission))
    return event("intake", fact)


def remember_offer(transaction: Connection, message: Envelope) -> None:
    """Process `offer.opened`: store the offer and the organisation that may answer it."""
    _insert_offer(transaction, message.data)


def accept(transaction: Connection, organization: str, offer_id: str) -> Event[Fact]:
    """Process `POST /v1/offers/{id}/accept`. Raises LookupError for another's or an unknown offer."""
    offer = transaction.execute(select(OFFERS).where(OFFERS.c.id == offer_id)).one_or_none()
    if offer is None or offer.organization != organization:
        raise LookupError(offer_id)
    _keep(transaction, offer.referral_id, organization)
    return event(
        "intake",
        AnswerSubmitted(
            referral_id=offer.referral_id,
            offer_id=offer_id,
            organization=organization,
            answer=Answer.accept,
        ),
    )


def progress(transaction: Connection, organization: str, referral_id: str, body: bytes) -> Event[Fact]:
    """Process `POST /v1/referrals/{id}/progress`."""
    _keep(transaction, referral_id, organization)
    status = ProgressStatus(orjson.loads(body)["status"])
    return event(
        "intake", ProgressSubmitted(referral_id=referral_id, organization=organization, status=status)
    )


def complete(transaction: Connection, organization: str, referral_id: str, body: bytes) -> Event[Fact]:
    """Process `POST /v1/referrals/{id}/complete`."""
    _keep(transaction, referral_id, organization)
    outcome = Outcome(orjson.loads(body)["outcome"])
    return event(
        "intake", OutcomeSubmitted(referral_id=referral_id, organization=organization, outcome=outcome)
    )


def _keep(transaction: Connection, referral_id: str, organization: str, case: bytes | None = None) -> None:
    transaction.execute(
        insert(SUBMISSIONS).values(id=new_id(), referral_id=referral_id, organization=organization, case=case)
    )


def _insert_offer(transaction: Connection, data: Mapping[str, Any]) -> None:
    transaction.execute(
        insert(OFFERS).values(
            id=data["offer_id"],
            referral_id=data["referral_id"],
            organization=data["organization"],
            state="open",
        )
    )


# --- routing -------------------------------------------------------------------------------------


def route(transaction: Connection, directory: Directory, message: Envelope) -> Event[Fact]:
    """Process a message of ROUTING_KEYS."""
    fact = message.event().data
    match fact:
        case ReferralSubmitted():
            return event("routing", _offer_to_first(transaction, directory, fact), message)
        case AnswerSubmitted():
            transaction.execute(update(OFFERS).where(OFFERS.c.id == fact.offer_id).values(state="accepted"))
            sender = _move(transaction, fact.referral_id, "accepted", acceptor=fact.organization)
            accepted = OfferAccepted(
                referral_id=fact.referral_id,
                offer_id=fact.offer_id,
                organization=fact.organization,
                sender=sender,
            )
            return event("routing", accepted, message)
        case ProgressSubmitted():
            sender = _move(transaction, fact.referral_id, fact.status)
            progressed = ReferralProgressed(
                referral_id=fact.referral_id,
                sender=sender,
                organization=fact.organization,
                status=fact.status,
            )
            return event("routing", progressed, message)
        case OutcomeSubmitted():
            sender = _move(transaction, fact.referral_id, "completed", outcome=fact.outcome)
            completed = ReferralCompleted(
                referral_id=fact.referral_id,
                sender=sender,
                organization=fact.organization,
                outcome=fact.outcome,
            )
            return event("routing", completed, message)
    raise TypeError(fact.type)


def _offer_to_first(transaction: Connection, directory: Directory, fact: ReferralSubmitted) -> OfferOpened:
    now = dt.datetime.now(dt.UTC)
    decision = rank(directory, new_id(), fact.referral_id, fact.sender, fact.facts, now)
    opened = OfferOpened(
        referral_id=fact.referral_id,
        offer_id=new_id(),
        organization=decision.ranked[0].organization,
        sender=fact.sender,
        rank=1,
        opened_at=now,
        deadline=now + ANSWER_WITHIN,
        facts=fact.facts.situation(),
    )
    transaction.execute(
        insert(REFERRALS).values(
            id=fact.referral_id,
            sender=fact.sender,
            status="offered",
            decision=orjson.dumps(decision.candidates),
        )
    )
    _insert_offer(transaction, plain(opened))
    return opened


def _move(transaction: Connection, referral_id: str, status: str, **changes: str) -> str:
    """Change a referral and return its sender."""
    sender = transaction.execute(select(REFERRALS.c.sender).where(REFERRALS.c.id == referral_id)).scalar_one()
    transaction.execute(
        update(REFERRALS).where(REFERRALS.c.id == referral_id).values(status=status, **changes)
    )
    return str(sender)


# --- delivery ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerMailboxPage:
    """bodies: CloudEvents as received. records: the events to publish about their delivery."""

    bodies: Sequence[bytes]
    following: int
    records: Sequence[Event[Fact]]


def deliver(transaction: Connection, message: Envelope) -> Sequence[str]:
    """Put a message of DELIVERY_KEYS into its recipients' mailboxes; return the recipients."""
    recipients = recipients_of(message.type, message.data)
    for organization in recipients:
        transaction.execute(
            insert(MAILBOX).values(
                organization=organization,
                message_id=message.id,
                type=message.type,
                referral_id=message.data["referral_id"],
                state="queued",
                body=message.body,
            )
        )
    return recipients


def is_waiting(transaction: Connection, organization: str, after: int) -> bool:
    """Return whether the mailbox has messages after this position."""
    return bool(_waiting(transaction, organization, after, 1))


def hand_out(transaction: Connection, organization: str, after: int, limit: int) -> PeerMailboxPage:
    """Process `GET /v1/mailbox`; mark messages that are delivered for the first time."""
    rows = _waiting(transaction, organization, after, limit)
    new = [row for row in rows if row.state == "queued"]
    if new:
        transaction.execute(
            update(MAILBOX)
            .where(MAILBOX.c.sequence.in_([row.sequence for row in new]))
            .values(state="delivered")
        )
    return PeerMailboxPage(
        bodies=[row.body for row in rows],
        following=rows[-1].sequence if rows else after,
        records=[
            event("delivery", DeliveryDelivered(**_record_of(row))) for row in new if row.type in RECORDED
        ],
    )


def acknowledge(transaction: Connection, organization: str, ids: Sequence[str]) -> Sequence[Event[Fact]]:
    """Process `POST /v1/mailbox:acknowledge`."""
    mine = (MAILBOX.c.organization == organization) & MAILBOX.c.message_id.in_(ids)
    rows = transaction.execute(select(MAILBOX).where(mine)).all()
    transaction.execute(update(MAILBOX).where(mine).values(state="acknowledged"))
    return [
        event("delivery", DeliveryAcknowledged(**_record_of(row))) for row in rows if row.type in RECORDED
    ]


def _record_of(row: Any) -> dict[str, Any]:
    return {
        "referral_id": row.referral_id,
        "organization": row.organization,
        "message_id": row.message_id,
        "message_type": row.type,
    }


def _waiting(transaction: Connection, organization: str, after: int, limit: int) -> Sequence[Any]:
    return transaction.execute(
        select(MAILBOX)
        .where(
            MAILBOX.c.organization == organization,
            MAILBOX.c.state.in_(["queued", "delivered"]),
            MAILBOX.c.sequence > after,
        )
        .order_by(MAILBOX.c.sequence)
        .limit(limit)
    ).all()


# --- audit ---------------------------------------------------------------------------------------


def record(transaction: Connection, message: Envelope) -> None:
    """Store one row per event."""
    transaction.execute(
        insert(ENTRIES).values(
            message_id=message.id, type=message.type, referral_id=message.partition_key, body=message.body
        )
    )
