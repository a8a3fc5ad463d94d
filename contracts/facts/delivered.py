"""Delivery's facts: which organisation received which message, and what replaces a closed message."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import OneOf

from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OfferId, OrganizationId, ReferralId
from contracts.referral import SealedText
from contracts.topology import CASES


@fact("delivery.delivered")
@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryDelivered(Fact):
    """The organisation's system received the message for the first time."""

    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str


@fact("delivery.acknowledged")
@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryAcknowledged(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str


@fact("note.delivered", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteDelivered(Fact):
    """A note in the mailbox of the party it is sealed to. Only read from the mailbox, never published.

    offer_id: the offer that the author declined with this note.
    """

    referral_id: ReferralId
    organization: OrganizationId
    author: OrganizationId
    note: SealedText
    offer_id: OfferId | None = None


@fact("message.closed")
@dataclass(frozen=True, kw_only=True, slots=True)
class MessageClosed(Fact):
    """Replaces a message in a mailbox after its offer or referral ended, or after what it asked for was done.

    Only read from the mailbox.

    The event has the id of the message, whose content the hub has erased. message_type: the type that it had.
    reason: how the offer or the referral ended.
    """

    referral_id: ReferralId
    message_type: str
    reason: Annotated[
        str,
        OneOf(
            [
                "declined",
                "expired",
                "revoked",
                "acceptance_revoked",
                "handed_back",
                "completed",
                "withdrawn",
                "consent_revoked",
                "entered_in_error",
                "failed",
                "acted_on",
            ]
        ),
    ]
    closed_at: dt.datetime
