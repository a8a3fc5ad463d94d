"""The cover rate: when the log is published, and how many entries each publication has.

Time is divided into **periods** that begin at whole multiples of their length since the Unix epoch. The log
is published once at the beginning of each period, with a multiple of `entries` new entries, cover included.
So publications with fewer than `entries` other entries look alike: the rate determines their time and size.

The length divides a minute and gives at least ten entries, so that one step of a referral fits into one
publication, unless that takes longer than half a minute.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

_STEP_ENTRIES: Final = 10
_MINUTE: Final = 60
# In seconds. An author gets its receipts within this time, and `kopuro admin reconcile` ignores a minute.
LENGTHS: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverRate:
    """per_minute: entries that the log gets in a minute at least, 1 or more."""

    per_minute: int

    @property
    def seconds(self) -> int:
        """The length of a period."""
        wanted = _STEP_ENTRIES * _MINUTE
        return next((length for length in LENGTHS if length * self.per_minute >= wanted), LENGTHS[-1])

    @property
    def entries(self) -> int:
        """The entries of a publication: the rate times the length of a period, rounded up."""
        return -(-self.per_minute * self.seconds // _MINUTE)

    def period(self, now: dt.datetime) -> int:
        """Return the number of the period in which a time with a time zone lies."""
        return int(now.timestamp()) // self.seconds

    def missing(self, waiting: int) -> int:
        """Return how many cover entries make a publication of the `waiting` other ones: at least one.

        A publication always ends with cover, so that the sequencer finds where the next one begins.
        """
        return self.entries - waiting % self.entries
