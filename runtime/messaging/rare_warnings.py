"""Warnings that any user of the broker can cause: at most one line a minute for each check.

Each message counts in a metric. A line for each one would let a thief of a broker password fill the disk.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from runtime.clock import Clock

LINE_INTERVAL: Final = dt.timedelta(minutes=1)


class RareWarnings:
    """One warning's lines. check: one of a fixed set, so that the lines are bounded. For one thread."""

    def __init__(self, log: logging.Logger, text: str, clock: Clock) -> None:
        self._log = log
        self._text = text
        self._clock = clock
        self._logged_at: dict[str, dt.datetime] = {}
        self._withheld: dict[str, int] = {}

    def warn(self, check: str, reason: str) -> None:
        """Log the warning, or count it for the next line of this check.

        The line's `withheld` is the number of warnings since the last line.
        """
        now = self._clock.now()
        last = self._logged_at.get(check)
        if last is not None and last <= now < last + LINE_INTERVAL:
            self._withheld[check] = self._withheld.get(check, 0) + 1
            return
        self._logged_at[check] = now
        self._log.warning(self._text, extra={"reason": reason, "withheld": self._withheld.pop(check, 0)})
