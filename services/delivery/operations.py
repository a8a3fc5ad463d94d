"""Declarations of delivery's resources, as the OpenAPI document publishes it."""

from __future__ import annotations

from typing import Final

from contracts.identifiers import SLUG_PATTERN
from contracts.responses.mailbox import (
    AcknowledgementResults,
    AnswerIds,
    MailboxConsumer,
    MailboxPage,
    MessageState,
    ReleasedCase,
    TriggeredMessageId,
)
from runtime.web.operation import Body, Operation, Parameter, nothing, page_of, record_of
from runtime.web.parameters import AFTER, LIMIT
from services.delivery.api import (
    LONGEST_WAIT,
    Acknowledgements,
    ConsumerSettings,
    SubmissionAnswerList,
    TriggeredMessage,
)

_SAMPLE_ID: Final = "0199a0de-0000-7000-8000-0000000000f1"

WAIT: Final = Parameter(
    name="wait",
    schema={"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
    description="The longest wait for a message, in seconds.",
)
# The mailbox has a cursor of its own: `resume` continues a poll.
AFTER_MESSAGE: Final = Parameter(
    name="after", schema=AFTER.schema, description="The `next` or `resume` of an earlier page."
)
READ_AGAIN: Final = Parameter(
    name="from",
    schema={"type": "string"},
    description="Read again from here, including acknowledged messages: an RFC 3339 time with an offset, or "
    "a cursor.",
)
TYPES: Final = Parameter(
    name="type",
    schema={"type": "string"},
    description="Only these messages, separated by commas: `offer.opened,kopuro.case.released.v1`.",
)
CONSUMER: Final = Parameter(
    name="consumer",
    schema={"type": "string", "pattern": SLUG_PATTERN, "maxLength": 60},
    description="The named consumer that acts; absent for the default one.",
)
OF_MAILBOX: Final = (AFTER_MESSAGE, CONSUMER, READ_AGAIN, LIMIT, TYPES, WAIT)

READ_MAILBOX: Final = Operation(
    summary="Read the messages that wait for the caller, oldest first; `wait` makes it a long poll",
    responses={200: record_of(MailboxPage)},
    refusals=frozenset({"conflict", "invalid-cursor", "not-found"}),
)
ACKNOWLEDGE: Final = Operation(
    summary="Acknowledge one message; a repetition succeeds",
    responses={204: nothing("The message is acknowledged.")},
)
ACKNOWLEDGE_BATCH: Final = Operation(
    summary="Acknowledge up to a thousand messages, with a result for each",
    body=Body(record=Acknowledgements, examples={"one message": {"ids": [_SAMPLE_ID]}}),
    responses={200: record_of(AcknowledgementResults)},
    refusals=frozenset({"not-found"}),
)
TRACE_MESSAGES: Final = Operation(
    summary="Find the messages about a referral, or one message; a partner sees its own, staff see all",
    responses={200: page_of(MessageState)},
)
READ_CASE: Final = Operation(
    summary="Read a case that was released to the caller, sealed to the caller's key",
    responses={200: record_of(ReleasedCase)},
)
TRIGGER: Final = Operation(
    summary="Put a message into one's own mailbox, only in a sandbox",
    body=Body(
        record=TriggeredMessage,
        examples={
            "a withdrawal": {
                "type": "referral.withdrawn",
                "data": {
                    "referral_id": _SAMPLE_ID,
                    "sender": "kg.osh-legal-aid",
                    "organization": None,
                    "reason": "person_declined",
                },
            }
        },
    ),
    responses={201: record_of(TriggeredMessageId)},
    refusals=frozenset({"not-found"}),
)
ANSWER_SUBMISSIONS: Final = Operation(
    summary="As the gateway: put answers to submissions over AMQP into the organisation's mailbox",
    body=Body(
        record=SubmissionAnswerList,
        examples={
            "an admission": {
                "answers": [{"message_id": "order-2026-17", "body": "", "submission_id": _SAMPLE_ID}]
            }
        },
    ),
    responses={200: record_of(AnswerIds)},
    refusals=frozenset({"forbidden"}),
)
LIST_CONSUMERS: Final = Operation(
    summary="List the caller's named consumers, by name", responses={200: page_of(MailboxConsumer)}
)
PUT_CONSUMER: Final = Operation(
    summary="Create a named consumer, or change its settings and position",
    body=Body(
        record=ConsumerSettings, examples={"offers only": {"types": ["offer.opened"], "contract": "1"}}
    ),
    responses={200: record_of(MailboxConsumer)},
    refusals=frozenset({"conflict"}),
)
DELETE_CONSUMER: Final = Operation(
    summary="Delete a named consumer",
    responses={204: nothing("The consumer is deleted.")},
)
