"""Response bodies of the webhook resources."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Final

from marshmallow.validate import OneOf

from contracts.identifiers import MessageId

NOTICE_STATES: Final = ("waiting", "sent", "read", "cancelled", "expired", "failed")
FAULTS: Final = (
    "unresolved",
    "address-refused",
    "no-connection",
    "tls",
    "timeout",
    "malformed-answer",
    "challenge-not-answered",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookEndpoint:
    """An endpoint. types: of the messages it gets notices of; empty: all.

    state: unverified until it answers a challenge, then active; or disabled, with the reason: owner, gone (it
    answered 410) or failing. failing_since: the first failure since the last success. disabled_at: when it
    was disabled; of one that fails, when the hub will disable it if it keeps failing.
    """

    id: str
    url: str
    types: tuple[str, ...]
    state: Annotated[str, OneOf(("unverified", "active", "disabled"))]
    reason: Annotated[str, OneOf(("owner", "gone", "failing"))] | None
    created_at: dt.datetime
    failing_since: dt.datetime | None
    disabled_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookSecret:
    """A new secret; only this response shows it.

    public_key: verifies the Ed25519 signature (`v1a`). previous_until: when the former secret stops signing.
    """

    endpoint: WebhookEndpoint
    secret: str
    public_key: str
    previous_until: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookNotice:
    """The notice of one message to one endpoint. until: when the hub stops trying.

    state: waiting, sent (answered with 2xx), read (the message was acknowledged before), cancelled, expired
    (the offer's deadline has passed) or failed.
    """

    message_id: MessageId
    type: str
    referral_id: str | None
    state: Annotated[str, OneOf(NOTICE_STATES)]
    attempts: int
    next_attempt_at: dt.datetime | None
    until: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRequest:
    """The request of an attempt."""

    method: Annotated[str, OneOf(("POST",))]
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookResponse:
    """The response to an attempt. bytes: how many of its body were read; they are not kept."""

    status: int
    media_type: str | None
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookAttempt:
    """One attempt to notify an endpoint. response: null if there was none.

    fault: why it failed without a usable response: unresolved, address-refused (not a public address),
    no-connection, tls, timeout, malformed-answer or challenge-not-answered; otherwise null.
    """

    message_id: MessageId
    type: str
    attempt: int
    started_at: dt.datetime
    milliseconds: int
    request: WebhookRequest
    response: WebhookResponse | None
    fault: Annotated[str, OneOf(FAULTS)] | None
    next_attempt_at: dt.datetime | None
