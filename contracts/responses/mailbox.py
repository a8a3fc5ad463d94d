"""Response bodies of delivery's resources."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from marshmallow.validate import OneOf

from contracts.identifiers import MessageId, OfferId, OrganizationId, ReferralId
from contracts.responses.form import OMITTED, Shape
from contracts.responses.webhooks import NOTICE_STATES

# References in the published OpenAPI document.
ENVELOPE = Shape({"$ref": "#/components/schemas/Envelope"})
PROBLEM = Shape({"$ref": "#/components/schemas/Problem"})


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxPage:
    """One page of a mailbox, in the order of arrival.

    next: the cursor of the next page, null when no more messages are waiting. resume: the cursor for a later
    poll; the given `after` when the page is empty.
    """

    items: Annotated[
        tuple[Mapping[str, Any], ...], Shape({"type": "array", "items": dict(ENVELOPE.keywords)})
    ]
    next: str | None
    resume: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgement:
    """The result for one message. status: 204, or that of the problem."""

    id: MessageId
    status: int
    problem: Annotated[Mapping[str, Any] | None, PROBLEM] = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class AcknowledgementResults:
    """One result for each id of the request, in the same order."""

    items: tuple[Acknowledgement, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerIds:
    """The messages with the answers to submissions, in the order of the request."""

    ids: tuple[MessageId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxConsumer:
    """A named consumer of a mailbox. types: of the messages that it reads; empty: all.

    position: the cursor before which it has acknowledged everything. waiting_since: the arrival of the oldest
    message that it still needs, null if there is none.
    """

    name: str
    types: tuple[str, ...]
    contract: str
    position: str
    created_at: dt.datetime
    waiting_since: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldEndpoint:
    """A webhook's notice of a message. until: when the hub stops trying.

    state: waiting, sent, read, cancelled, expired or failed.
    """

    endpoint_id: str
    state: Annotated[str, OneOf(NOTICE_STATES)]
    attempts: int
    next_attempt_at: dt.datetime | None
    until: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageState:
    """The location and state of a message.

    organization: the mailbox's owner, null for the coordinators' shared mailbox.

    state: queued, delivered (fetched at least once) or acknowledged. Only the fetching of `offer.opened` and
    `case.released` is stored: other messages go from queued to acknowledged. offer_id: of an `offer.opened`.
    closed_at: when the hub erased the content. own: whether the mailbox is the caller's.
    """

    message_id: MessageId
    type: str
    referral_id: ReferralId | None
    organization: OrganizationId | None
    offer_id: OfferId | None
    state: Annotated[str, OneOf(("queued", "delivered", "acknowledged"))]
    queued_at: dt.datetime
    delivered_at: dt.datetime | None
    acknowledged_at: dt.datetime | None
    closed_at: dt.datetime | None
    own: bool
    webhooks: tuple[ToldEndpoint, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggeredMessageId:
    """The message that an organisation of a sandbox put into its own mailbox."""

    id: MessageId


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedCase:
    """A case, sealed to the organisation that reads it (a compact JWE)."""

    referral_id: ReferralId
    case: str
