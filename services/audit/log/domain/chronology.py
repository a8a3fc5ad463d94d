"""How the times of events relate to their order in the log, so that a span of time can be sought.

Entries stand in the order of arrival, and an event may arrive late. Two things rise along the log and never
fall: the latest time so far, and the greatest lateness so far. They bound where the events of a span can be.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

_NONE = dt.timedelta()


@dataclass(frozen=True, kw_only=True, slots=True)
class Chronology:
    """After some first entries. latest: of their times, None for an empty log.

    lateness: how far an event's time was behind the latest before it, at most.
    """

    latest: dt.datetime | None = None
    lateness: dt.timedelta = _NONE

    def after(self, time: dt.datetime) -> Chronology:
        """With one more entry, of an event of this time."""
        if self.latest is None or time >= self.latest:
            return Chronology(latest=time, lateness=self.lateness)
        return Chronology(latest=self.latest, lateness=max(self.lateness, self.latest - time))

    def beyond(self, until: dt.datetime) -> dt.datetime | None:
        """From the first entry on whose `latest` reaches this, no event is before `until`.

        None where that is past the end of the calendar: then nothing is known.
        """
        try:
            return until + self.lateness
        except OverflowError:
            return None
