"""The bound of what one party submits about one referral in a day. Pure.

Every submission about a referral stays in its history, and each one that is refused is answered by a message.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from contracts.errors import Refused

MOST_ABOUT_REFERRAL: Final = 100
BOUND_INTERVAL: Final = dt.timedelta(days=1)


def beyond_bound(
    admitted: Sequence[dt.datetime], now: dt.datetime, *, who: str = "Your organisation has"
) -> Refused | None:
    """Return the refusal of one more submission about a referral; None if it may be admitted.

    admitted: when those of the party's submissions about the referral that count with it were admitted in the
    last BOUND_INTERVAL, oldest first. who: the party, with its verb.
    """
    if len(admitted) < MOST_ABOUT_REFERRAL:
        return None
    free = admitted[-MOST_ABOUT_REFERRAL] + BOUND_INTERVAL
    return Refused(
        "too-many-statements",
        f"{who} submitted {MOST_ABOUT_REFERRAL} times about this referral within a day.",
        retry_after=max(1, int((free - now).total_seconds()) + 1),
    )
