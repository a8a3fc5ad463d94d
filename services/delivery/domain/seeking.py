"""Search for a time in a mailbox, whose messages are numbered in order of arrival."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

# How far a clock may be from the true time: of a process that appends to mailboxes, or of a reader. Times in
# a mailbox do not rise with the sequence everywhere then, but none falls by more than twice as much.
CLOCKS_DIFFER: Final = dt.timedelta(minutes=5)

# sequence -> the first message at or above it: its sequence, and when it was queued
Probe = Callable[[int], tuple[int, dt.datetime] | None]


def sequence_before(moment: dt.datetime, newest: int, probe: Probe) -> int:
    """Return a sequence that is lower than that of every message queued at or after the moment.

    Starts ten minutes early, because clocks differ. newest: the highest sequence. Needs about log2(newest)
    probes, so that times need no index.
    """
    low, high = 0, newest  # everything up to `low` is older, everything above `high` is not
    while low < high:
        middle = (low + high) // 2 + 1
        found = probe(middle)
        if found is None or found[0] > high or found[1] + 2 * CLOCKS_DIFFER >= moment:
            high = middle - 1
        else:
            low = found[0]
    return low
