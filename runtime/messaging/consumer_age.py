"""The age of the events that a consumer processes, by the events' own times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from runtime.clock import Clock

# A scrape sees the batches of the time since the one before it.
REMEMBERED: Final = dt.timedelta(seconds=30)


class ConsumerAge:
    """How far one consumer of one process is behind the events that it takes.

    A batch that cannot be applied, because the database is unavailable, ages until it is. A queue that nobody
    reads has no age here: `StalledLoops` and the broker's own metrics show it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The oldest event of the batch in hand.
        self._in_hand: dt.datetime | None = None
        # The largest age of a finished batch within REMEMBERED, and when that batch was finished.
        self._finished: tuple[dt.timedelta, dt.datetime] | None = None

    def taken(self, messages: Iterable[Any]) -> None:
        """Note that a batch is in hand. Messages without a time are ignored."""
        times = [moment for one in messages if (moment := getattr(one, "time", None)) is not None]
        if self._in_hand is not None:
            times.append(self._in_hand)  # the batch before has not taken effect
        self._in_hand = min(times, default=None)

    def finished(self) -> None:
        """Note that every message in hand took effect or will be retried."""
        if self._in_hand is None:
            return
        now = self._clock.now()
        age, self._in_hand = now - self._in_hand, None
        recent = self._recent(now)
        if recent is None or age >= recent:
            self._finished = (age, now)

    def seconds(self) -> float:
        """Return the age of the batch in hand, or the largest one of the last 30 s; 0 if there is neither."""
        now = self._clock.now()
        ages = [self._recent(now) or dt.timedelta()]
        if self._in_hand is not None:
            ages.append(now - self._in_hand)
        return max(0.0, max(ages).total_seconds())

    def _recent(self, now: dt.datetime) -> dt.timedelta | None:
        if self._finished is None or not now - REMEMBERED <= self._finished[1] <= now:
            return None
        return self._finished[0]
