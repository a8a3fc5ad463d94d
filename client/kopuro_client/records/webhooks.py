"""Webhooks in a hub's responses."""

from __future__ import annotations

from typing import Any, TypedDict


class WebhookEndpoint(TypedDict):
    """An endpoint. state: unverified, active or disabled; reason: why it is disabled.

    types: of the messages it gets notices of; empty: all. disabled_at: when it was disabled; of one that
    fails, when it will be disabled if it keeps failing.
    """

    id: str
    url: str
    types: list[str]
    state: str
    reason: str | None
    created_at: str
    failing_since: str | None
    disabled_at: str | None


class WebhookSecret(TypedDict):
    """A new secret of an endpoint. secret: `whsec_...`; public_key: `whpk_...`, verifies `v1a`.

    previous_until: when the previous secret stops signing; None for the first one.
    """

    endpoint: WebhookEndpoint
    secret: str
    public_key: str
    previous_until: str | None


class WebhookNotice(TypedDict):
    """A notice of a message to an endpoint. state: waiting, sent, read, cancelled, expired or failed."""

    message_id: str
    type: str
    referral_id: str | None
    state: str
    attempts: int
    next_attempt_at: str | None
    until: str


class WebhookAttempt(TypedDict):
    """A request to an endpoint. response: its status, media type and size; None if there is no answer.

    fault: why there was no answer, or what the answer lacks.
    """

    message_id: str
    type: str
    attempt: int
    started_at: str
    milliseconds: int
    request: dict[str, str]
    response: dict[str, Any] | None
    fault: str | None
    next_attempt_at: str | None
