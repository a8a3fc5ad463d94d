"""What delivery's resources take and answer, as the OpenAPI document publishes it."""

from __future__ import annotations

from typing import Final

from contracts.answers.mailbox import AcknowledgementResults, MailboxPage, ReleasedCase
from runtime.web.operation import Body, Operation, Parameter, answer, nothing
from runtime.web.parameters import AFTER
from services.delivery.api import LONGEST_WAIT, Acknowledgements

_SAMPLE_ID: Final = "0199a0de-0000-7000-8000-0000000000f1"

WAIT: Final = Parameter(
    name="wait",
    schema={"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
    description="The most seconds to wait for a message when there is none.",
)
# The mailbox has a cursor of its own: `resume` continues a poll.
AFTER_MESSAGE: Final = Parameter(
    name="after", schema=AFTER.schema, description="The `next` or `resume` of an earlier page."
)

READ_MAILBOX: Final = Operation(
    summary="Read the messages that wait for the caller, oldest first; `wait` makes it a long poll",
    answers={200: answer(MailboxPage)},
    refusals=frozenset({"invalid-cursor"}),
)
ACKNOWLEDGE: Final = Operation(
    summary="Acknowledge one message; a repetition succeeds",
    answers={204: nothing("The message is acknowledged.")},
)
ACKNOWLEDGE_BATCH: Final = Operation(
    summary="Acknowledge up to a thousand messages, with a result for each",
    body=Body(record=Acknowledgements, examples={"one message": {"ids": [_SAMPLE_ID]}}),
    answers={200: answer(AcknowledgementResults)},
)
READ_CASE: Final = Operation(
    summary="Read a case that was released to the caller, sealed to the caller's key",
    answers={200: answer(ReleasedCase)},
)
