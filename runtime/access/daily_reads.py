"""The reads by parties that are on record today: each once, so that no party can flood the log with reads."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

# Some 20 MB; beyond them, the oldest ones of the day would be recorded again.
MOST_KEPT: Final = 100_000


class DailyReads:
    """Remembers which reads were recorded on the present day (UTC). One instance a process.

    A restart, or another process, records a read of the same day again.
    """

    def __init__(self, today: Callable[[], dt.date], *, most: int = MOST_KEPT) -> None:
        self._today = today
        self._most = most
        self._day = today()
        self._recorded: OrderedDict[Hashable, None] = OrderedDict()

    def record_once(self, read: Hashable, record: Callable[[], None]) -> None:
        """Call `record` unless it has been called for the read today. Raises what it raises."""
        if self._day != (today := self._today()):
            self._day = today
            self._recorded.clear()
        if read in self._recorded:
            return
        # Two equal reads at once are both recorded: neither answer leaves before its record is committed.
        record()
        if self._day != today:  # a new day began meanwhile, on which the read is not on record
            return
        self._recorded[read] = None
        while len(self._recorded) > self._most:
            self._recorded.popitem(last=False)
