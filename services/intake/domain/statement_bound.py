"""The bound of what one organisation submits about one referral in a day. Pure.

Every submission about a referral stays in its history, and each one that is refused is answered by a message.
An acceptor reports, writes notes and corrects itself some ten times a day at most. What an organisation does
once (an answer, an outcome, a hand-back, a withdrawal, the revocation of the consent) counts by its kind
alone: no number of notes may delay the end of a referral whose person has withdrawn the consent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from contracts.errors import Refused
from contracts.facts import NoteSubmitted, ProgressSubmitted, ReplacementSubmitted, UnreadableSubmitted

MOST_ABOUT_REFERRAL: Final = 100
BOUND_INTERVAL: Final = dt.timedelta(days=1)
# What an organisation repeats in good faith counts together.
_REPEATED: Final = frozenset(
    one.routing_key for one in (NoteSubmitted, ProgressSubmitted, ReplacementSubmitted, UnreadableSubmitted)
)


def counted_as(fact: str) -> str:
    """Return the name under which a submission counts. fact: the routing key of its first event."""
    return "repeated" if fact in _REPEATED else fact


def beyond_bound(admitted: Sequence[dt.datetime], now: dt.datetime) -> Refused | None:
    """Return the refusal of one more submission about a referral; None if it may be admitted.

    admitted: when those of the organisation's submissions about the referral that count with it were admitted
    in the last BOUND_INTERVAL, oldest first.
    """
    if len(admitted) < MOST_ABOUT_REFERRAL:
        return None
    free = admitted[-MOST_ABOUT_REFERRAL] + BOUND_INTERVAL
    return Refused(
        "too-many-statements",
        f"Your organisation has submitted {MOST_ABOUT_REFERRAL} times about this referral within a day.",
        retry_after=max(1, int((free - now).total_seconds()) + 1),
    )
