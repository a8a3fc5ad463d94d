"""Clocks of clients that differ from the hub's: reported with the difference and the hub's time."""

from __future__ import annotations

import datetime as dt

from contracts.errors import Refused


def clock_skew(theirs: dt.datetime, ours: dt.datetime, *, status: int) -> Refused:
    """Return the refusal of a text that was signed at another time than now.

    theirs: the time that the client signed. A text that was kept back looks the same as a slow clock.
    """
    seconds = round((theirs - ours).total_seconds())
    place = "ahead of" if seconds > 0 else "behind"
    return Refused(
        "clock-skew",
        f"The time in the signed text is {abs(seconds)} s {place} the hub's, which is "
        f"{ours.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}. Set the clock, or sign when you send.",
        status=status,
    )
