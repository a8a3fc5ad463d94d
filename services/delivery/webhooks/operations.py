"""Declarations of the resources of webhooks, as the OpenAPI document publishes it."""

from __future__ import annotations

from typing import Final

from contracts.facts import OfferOpened
from contracts.responses.webhooks import WebhookAttempt, WebhookEndpoint, WebhookNotice, WebhookSecret
from runtime.web.operation import Body, Operation, nothing, page_of, record_of
from services.delivery.webhooks.api import EndpointChange, Registration

REGISTER: Final = Operation(
    summary="Register an endpoint; a signed challenge follows, and only this response shows the secret",
    body=Body(
        record=Registration,
        examples={"offers only": {"url": "https://cases.example.org/kopuro", "types": [OfferOpened.type]}},
    ),
    responses={201: record_of(WebhookSecret)},
    refusals=frozenset({"conflict"}),
)
LIST: Final = Operation(
    summary="List the caller's endpoints, oldest first", responses={200: page_of(WebhookEndpoint)}
)
SHOW: Final = Operation(summary="Show an endpoint", responses={200: record_of(WebhookEndpoint)})
CHANGE: Final = Operation(
    summary="Change an endpoint's address or types, disable it, or enable it again",
    body=Body(record=EndpointChange, examples={"enable again": {"enabled": True}}),
    responses={200: record_of(WebhookEndpoint)},
    refusals=frozenset({"conflict"}),
)
DELETE: Final = Operation(
    summary="Delete an endpoint; its messages stay in the mailbox",
    responses={204: nothing("The endpoint is deleted.")},
)
ROTATE: Final = Operation(
    summary="Make a new secret; the previous one signs beside it for 24 hours",
    responses={201: record_of(WebhookSecret)},
)
TEST: Final = Operation(
    summary="Send a test, or a new challenge to an endpoint that is unverified",
    responses={202: record_of(WebhookNotice)},
    refusals=frozenset({"conflict"}),
)
LIST_NOTICES: Final = Operation(
    summary="List an endpoint's notices, newest first",
    responses={200: page_of(WebhookNotice)},
    refusals=frozenset({"invalid-cursor"}),
)
LIST_ATTEMPTS: Final = Operation(
    summary="List the attempts to notify an endpoint, newest first",
    responses={200: page_of(WebhookAttempt)},
    refusals=frozenset({"invalid-cursor"}),
)
RESEND: Final = Operation(
    summary="Send a notice again, now",
    responses={202: record_of(WebhookNotice)},
    refusals=frozenset({"conflict"}),
)
CANCEL: Final = Operation(
    summary="Cancel the attempts of a notice that are due",
    responses={200: record_of(WebhookNotice)},
    refusals=frozenset({"conflict"}),
)
