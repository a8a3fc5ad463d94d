"""Delivery's facts: who received which message, what replaces a closed message, and webhooks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import OneOf

from contracts.canonical import Count
from contracts.codes import Urgency
from contracts.commitment import Commitment
from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OfferId, OrganizationId, ReferralId, SubmissionKey, Uuid
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


@fact("submission.admitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionAdmitted(Fact):
    """The answer to a submission over AMQP that the hub accepted. It exists only in the mailbox.

    message_id: as the organisation chose it. submission_id: as HTTP answers it with 202, for a referral the
    referral's id.
    """

    organization: OrganizationId
    message_id: SubmissionKey
    submission_id: MessageId


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
    """Replaces a message in a mailbox after its end, or after what it asked for was done.

    It ends with its offer, referral or watch report. It exists only in the mailbox.

    The event has the id of the message, whose content the hub has erased. message_type: the type that it had.
    reason: how the offer, the referral or the watch report ended. referral_id: null for a watch report, and
    for an alert that is about no referral.
    """

    referral_id: ReferralId | None
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
                "retracted",
                "opted_out",
            ]
        ),
    ]
    closed_at: dt.datetime


@fact("alerts.counted")
@dataclass(frozen=True, kw_only=True, slots=True)
class AlertsCounted(Fact):
    """More alerts of one type and urgency came in an hour than the coordinators get one by one.

    It exists only in the mailbox. organization: the cause of the alerts. Depending on the type, it is the
    sender, the acceptor without a report, or the organisation of the revoked offer, the answer or the changed
    record. message_type: the type of the alerts. since: the beginning of the hour. messages: how many there
    have been so far, the first of which are in the mailbox. urgency: of their referrals, None for a type that
    does not state it. The message is written again when the number has doubled. The referrals that need
    somebody are in the coordinators' queues.
    """

    organization: OrganizationId
    message_type: Annotated[
        str,
        OneOf(
            [
                "kopuro.referral.unanswered.v1",
                "kopuro.referral.unplaced.v1",
                "kopuro.referral.overdue.v1",
                "kopuro.referral.acceptor_suspended.v1",
                "kopuro.offer.revoked.v1",
                "kopuro.directory_correction.suggested.v1",
                "kopuro.service_approval.ended.v1",
            ]
        ),
    ]
    since: dt.datetime
    messages: Count
    urgency: Urgency | None = None


@fact("webhook.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookChanged(Fact):
    """An endpoint of an organisation changed.

    client_id: of the client that asked for it, None if the hub did it itself. host: of its URL,
    whose path and query may contain a secret. change: `gone` if the endpoint answered 410; the hub then
    disabled it. `message_refused` if it keeps refusing one message, `message_id`, while it takes others.
    The hub names no second message while the notice of the first waits.

    state: after the change, None if it was deleted. commitment: to the URL and the types after the change;
    previous: to those before it, None if they are the same. secret: the SHA-256 of a new secret as the hub
    stores it, sealed; None if the secrets are as before. All four are None in facts of earlier builds.
    """

    organization: OrganizationId
    endpoint_id: Uuid
    host: str
    change: Annotated[
        str,
        OneOf(
            [
                "registered",
                "verified",
                "changed",
                "enabled",
                "disabled",
                "gone",
                "deleted",
                "secret_rotated",
                "message_refused",
            ]
        ),
    ]
    client_id: str | None = None
    message_id: str | None = None
    state: Annotated[str, OneOf(["unverified", "active", "disabled"])] | None = None
    commitment: Commitment | None = None
    previous: Commitment | None = None
    secret: Commitment | None = None


@fact("webhook.failing", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookFailing(Fact):
    """Every request to an endpoint has failed for a share of the time after which the hub disables it.

    percent: 50, 70, 90, or 100 when the hub has disabled it. disabled_at: when it will be, or was.
    """

    organization: OrganizationId
    endpoint_id: Uuid
    host: str
    percent: Count
    failing_since: dt.datetime
    disabled_at: dt.datetime
