"""Bounds that map a time range to an index range of the log.

Entries are in order of arrival, and events may arrive late. The latest time so far and the greatest lateness
so far never decrease along the log. Together they bound where the events of a time range can be.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.quick_init import quick_init

_NONE = dt.timedelta()


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Chronology:
    """The chronology of a prefix. latest: the latest event time, None for an empty log.

    lateness: the maximum by which an event's time was behind the latest time before it.
    """

    latest: dt.datetime | None = None
    lateness: dt.timedelta = _NONE

    def after(self, time: dt.datetime) -> Chronology:
        """Return the chronology with one more event of this time."""
        if self.latest is None or time >= self.latest:
            return Chronology(latest=time, lateness=self.lateness)
        return Chronology(latest=self.latest, lateness=max(self.lateness, self.latest - time))

    def beyond(self, until: dt.datetime) -> dt.datetime | None:
        """Return the time such that no event before `until` follows the first entry whose `latest` reaches
        it.

        None when that time is beyond the calendar: then there is no bound.
        """
        try:
            return until + self.lateness
        except OverflowError:
            return None
