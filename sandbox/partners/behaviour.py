"""Decides how a sandbox organisation acts on each message. Pure: messages in, acts out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from contracts.codes import DeclineReason

# How long after the deadline a late answer is sent. Routing's timer has expired the offer by then.
LATE: Final = dt.timedelta(seconds=3)


class Behaviour(StrEnum):
    """The fixed behaviour of one organisation; the last part of its id."""

    accepts = "accepts"
    silent = "silent"
    late = "late"
    unreadable = "unreadable"
    no_report = "no-report"
    hands_back = "hands-back"
    declines_no_capacity = "declines-no-capacity"
    declines_not_eligible = "declines-not-eligible"
    declines_out_of_area = "declines-out-of-area"
    declines_language = "declines-language"
    declines_conflict_of_interest = "declines-conflict-of-interest"
    declines_needs_reassessment = "declines-needs-reassessment"
    declines_other = "declines-other"

    @property
    def reason(self) -> DeclineReason | None:
        """The reason with which it declines, None if it does not."""
        prefix, _, reason = self.value.partition("declines-")
        return DeclineReason(reason.replace("-", "_")) if not prefix and reason else None


class Kind(StrEnum):
    """An act of the organisation."""

    accept = "accept"
    decline = "decline"
    close_loop = "close_loop"  # open the case, report progress, report the outcome
    report_unreadable = "report_unreadable"
    hand_back = "hand_back"


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """An act on a message. subject: the id of the offer or the referral. due: None for at once."""

    kind: Kind
    subject: str
    reason: str | None = None
    due: dt.datetime | None = None


def act_on(behaviour: Behaviour, fact: str, data: Mapping[str, Any], *, is_replaced: bool) -> Act | None:
    """Return what the organisation does about a message, None if nothing.

    fact: such as `offer.opened`. data: of the CloudEvent. is_replaced: whether the sender has sent the case
    again. The unreadable organisation can open a case that was sent again.
    """
    if fact == "offer.opened":
        return _answer(behaviour, data)
    if fact != "case.released":
        return None
    referral = data["referral_id"]
    match behaviour:
        case Behaviour.no_report:
            return None
        case Behaviour.hands_back:
            return Act(kind=Kind.hand_back, subject=referral, reason="no_capacity")
        case Behaviour.unreadable if not is_replaced:
            return Act(kind=Kind.report_unreadable, subject=referral, reason="cannot_decrypt")
    return Act(kind=Kind.close_loop, subject=referral)


def _answer(behaviour: Behaviour, data: Mapping[str, Any]) -> Act | None:
    offer = data["offer_id"]
    if behaviour is Behaviour.silent:
        return None
    if behaviour is Behaviour.late:
        due = dt.datetime.fromisoformat(data["deadline"]) + LATE
        return Act(kind=Kind.accept, subject=offer, due=due)
    if behaviour.reason is not None:
        return Act(kind=Kind.decline, subject=offer, reason=behaviour.reason)
    return Act(kind=Kind.accept, subject=offer)
