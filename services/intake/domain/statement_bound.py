"""The bound of what one organisation submits about one referral in a day. Pure.

Every submission about a referral stays in its history, and each one that is refused is answered by a message.
An acceptor reports, writes notes and corrects itself some ten times a day at most.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from contracts.errors import Refused

MOST_ABOUT_REFERRAL: Final = 100
BOUND_INTERVAL: Final = dt.timedelta(days=1)


def beyond_bound(admitted: Sequence[dt.datetime], now: dt.datetime) -> Refused | None:
    """Return the refusal of one more submission about a referral; None if it may be admitted.

    admitted: when the organisation's submissions about the referral in the last BOUND_INTERVAL were admitted,
    oldest first.
    """
    if len(admitted) < MOST_ABOUT_REFERRAL:
        return None
    free = admitted[-MOST_ABOUT_REFERRAL] + BOUND_INTERVAL
    return Refused(
        "too-many-statements",
        f"Your organisation has submitted {MOST_ABOUT_REFERRAL} times about this referral within a day.",
        retry_after=max(1, int((free - now).total_seconds()) + 1),
    )
