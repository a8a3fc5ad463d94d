"""Detection of clock skew: other services' clocks that are ahead of ours.

An event's time cannot be in the future. If it is later than our clock, the clocks differ by at least that
much. A service whose clock is behind sees the clocks of the others ahead.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

# Hosts that follow NTP agree within milliseconds.
TOLERATED: Final = dt.timedelta(seconds=2)
# A message that is further ahead of our clock takes no effect where its age counts (`batches.py`).
MOST_AHEAD: Final = dt.timedelta(minutes=5)
REMEMBERED_SECONDS: Final = 600.0


class Clocks:
    """The clock skew that one process's consumers observe. monotonic: seconds, for expiry."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead: dict[str, tuple[dt.timedelta, float]] = {}

    def note(self, messages: Iterable[Any], now: dt.datetime) -> None:
        """Compare the times of newly arrived messages with `now`. Messages without a time are ignored."""
        limit = now + TOLERATED
        for message in messages:
            time_of_event = getattr(message, "time", None)
            if time_of_event is not None and time_of_event > limit:
                source = getattr(message, "source", None)
                if source is not None:
                    self._keep(str(source), time_of_event - now)

    def furthest(self) -> float:
        """Return the largest lead of another clock, in seconds; 0 when none is ahead."""
        return max((ahead.total_seconds() for ahead in self._recent().values()), default=0.0)

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: each source whose clock was ahead in the last ten minutes."""
        texts = [
            f"the clock of {source} is {ahead.total_seconds():.0f} s ahead of ours"
            for source, ahead in sorted(self._recent().items())
        ]
        return "; ".join(texts) or None

    def _keep(self, source: str, ahead: dt.timedelta) -> None:
        before = self._recent().get(source)
        if before is None or ahead >= before:
            self._ahead[source] = (ahead, self._monotonic())

    def _recent(self) -> dict[str, dt.timedelta]:
        since = self._monotonic() - REMEMBERED_SECONDS
        return {source: ahead for source, (ahead, seen) in list(self._ahead.items()) if seen >= since}
