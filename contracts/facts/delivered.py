"""Delivery's facts: which organisation received which message."""

from __future__ import annotations

from dataclasses import dataclass

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
