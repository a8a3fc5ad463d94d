"""The state machine of a notice: the announcement of one message of a mailbox to one endpoint."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts import webhook_request
from contracts.errors import Refused
from services.delivery.webhooks.domain.retries import Haste

# The types of notices that are about no message.
CHALLENGE: Final = webhook_request.CHALLENGE
TEST: Final = webhook_request.TEST


class NoticeState(StrEnum):
    waiting = "waiting"
    sent = "sent"  # answered with a 2xx status
    read = "read"  # the message was acknowledged in the mailbox before
    cancelled = "cancelled"
    expired = "expired"  # the offer's deadline has passed
    failed = "failed"  # given up


class NoticeEvent(StrEnum):
    succeed = "succeed"
    give_up = "give_up"
    expire = "expire"
    read = "read"
    cancel = "cancel"
    resend = "resend"


_ENDED: Mapping[NoticeEvent, NoticeState] = {NoticeEvent.resend: NoticeState.waiting}

TRANSITIONS: Mapping[NoticeState, Mapping[NoticeEvent, NoticeState]] = {
    NoticeState.waiting: {
        NoticeEvent.succeed: NoticeState.sent,
        NoticeEvent.give_up: NoticeState.failed,
        NoticeEvent.expire: NoticeState.expired,
        NoticeEvent.read: NoticeState.read,
        NoticeEvent.cancel: NoticeState.cancelled,
        NoticeEvent.resend: NoticeState.waiting,
    },
    NoticeState.sent: _ENDED,
    NoticeState.expired: _ENDED,
    NoticeState.failed: _ENDED,
    # A request that was under way is answered anyway.
    NoticeState.read: {**_ENDED, NoticeEvent.succeed: NoticeState.sent},
    NoticeState.cancelled: {
        **_ENDED,
        NoticeEvent.succeed: NoticeState.sent,
        NoticeEvent.cancel: NoticeState.cancelled,
    },
}


class IllegalNoticeTransition(Refused):
    """The event is not allowed in this state. Nothing has changed."""

    def __init__(self, state: NoticeState, event: NoticeEvent) -> None:
        super().__init__("conflict", f"Cannot {event} a notice that is {state}.")


def following_state(state: NoticeState, event: NoticeEvent) -> NoticeState:
    """Return the state of a notice after an event. Raises IllegalNoticeTransition."""
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise IllegalNoticeTransition(state, event)
    return following


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """The announcement of one message to one endpoint.

    number: of its row, 0 before it is stored. sequence: of the message in the mailbox, 0 for a challenge or a
    test. referral_id: empty if the message names none; notices of one referral are sent in order of their
    sequences. attempts: since it was made or resent. due_at: of the next attempt, None if there is none.
    until: no attempt starts later.
    """

    endpoint_id: str
    message_id: str
    type: str
    referral_id: str
    sequence: int
    queued_at: dt.datetime
    haste: Haste
    until: dt.datetime
    due_at: dt.datetime | None
    number: int = 0
    state: NoticeState = NoticeState.waiting
    attempts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One request and its answer, without the answer's content: a receiver may put a person's data into it.

    url: without its query. status: None if there was no answer; then fault says why. answer_type: the media
    type; answer_size: bytes that were read. next_at: of the next attempt, None if there is none.
    """

    endpoint_id: str
    message_id: str
    type: str
    number: int
    started_at: dt.datetime
    milliseconds: int
    url: str
    status: int | None
    answer_type: str | None
    answer_size: int
    fault: str | None
    next_at: dt.datetime | None
