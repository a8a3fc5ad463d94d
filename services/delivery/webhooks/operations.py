"""Declarations of the resources of webhooks, as the OpenAPI document publishes it."""

from __future__ import annotations

from typing import Final

from contracts.answers.webhooks import WebhookAttempt, WebhookEndpoint, WebhookNotice, WebhookSecret
from contracts.facts import OfferOpened
from runtime.web.operation import Body, Operation, answer, nothing, page_of
from services.delivery.webhooks.api import Change, Registration

REGISTER: Final = Operation(
    summary="Register an endpoint; a signed challenge follows, and only this answer shows the secret",
    body=Body(
        record=Registration,
        examples={"offers only": {"url": "https://cases.example.org/kopuro", "types": [OfferOpened.type]}},
    ),
    answers={201: answer(WebhookSecret)},
    refusals=frozenset({"conflict"}),
)
LIST: Final = Operation(
    summary="List the caller's endpoints, oldest first", answers={200: page_of(WebhookEndpoint)}
)
SHOW: Final = Operation(summary="Show an endpoint", answers={200: answer(WebhookEndpoint)})
CHANGE: Final = Operation(
    summary="Change an endpoint's address or types, disable it, or enable it again",
    body=Body(record=Change, examples={"enable again": {"enabled": True}}),
    answers={200: answer(WebhookEndpoint)},
    refusals=frozenset({"conflict"}),
)
DELETE: Final = Operation(
    summary="Delete an endpoint; its messages stay in the mailbox",
    answers={204: nothing("The endpoint is deleted.")},
)
ROTATE: Final = Operation(
    summary="Make a new secret; the previous one signs beside it for 24 hours",
    answers={201: answer(WebhookSecret)},
)
TEST: Final = Operation(
    summary="Send a test, or a new challenge to an endpoint that is unverified",
    answers={202: answer(WebhookNotice)},
    refusals=frozenset({"conflict"}),
)
LIST_NOTICES: Final = Operation(
    summary="List an endpoint's notices, newest first",
    answers={200: page_of(WebhookNotice)},
    refusals=frozenset({"invalid-cursor"}),
)
LIST_ATTEMPTS: Final = Operation(
    summary="List the attempts to notify an endpoint, newest first",
    answers={200: page_of(WebhookAttempt)},
    refusals=frozenset({"invalid-cursor"}),
)
RESEND: Final = Operation(
    summary="Send a notice again, now",
    answers={202: answer(WebhookNotice)},
    refusals=frozenset({"conflict"}),
)
CANCEL: Final = Operation(
    summary="Cancel the attempts of a notice that are due",
    answers={200: answer(WebhookNotice)},
    refusals=frozenset({"conflict"}),
)
