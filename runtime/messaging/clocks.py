"""How far the clocks of other services are ahead of ours, as the times of their events tell.

An event cannot have been said in the future: a time that is later than our clock is the difference of two
clocks, less what the event took to arrive. A clock that is behind is noticed by those it consumes from or
sends to, for which it is the other way round.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

# Hosts that follow NTP agree within milliseconds.
TOLERATED: Final = dt.timedelta(seconds=2)
REMEMBERED_SECONDS: Final = 600.0


class Clocks:
    """Of one process's consumers. monotonic: seconds, for forgetting."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead: dict[str, tuple[dt.timedelta, float]] = {}

    def note(self, messages: Iterable[Any], now: dt.datetime) -> None:
        """Look at the times of messages that have just arrived. One without a time says nothing."""
        limit = now + TOLERATED
        for message in messages:
            said = getattr(message, "time", None)
            if said is not None and said > limit:
                source = getattr(message, "source", None)
                if source is not None:
                    self._keep(str(source), said - now)

    def furthest(self) -> float:
        """How far the clock that is furthest ahead is, in seconds; 0 when none is."""
        return max((ahead.total_seconds() for ahead in self._recent().values()), default=0.0)

    def alarm(self) -> str | None:
        """For `/readyz`: every source whose clock was ahead in the last ten minutes, and by how much."""
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
