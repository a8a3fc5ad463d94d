"""A pace: what comes right after a batch joins the next one.

A batch of one costs the processor and the disk as much as one of ten. So a loop that processes batches lets a
moment pass between the beginnings of two of them. The first work after a quiet moment does not wait, and
neither does what a full batch has left behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class BatchThrottle:
    """Of one loop."""

    def __init__(
        self,
        seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """seconds: from the beginning of one batch to that of the next, at the least."""
        self._seconds = seconds
        self._now = now
        self._sleep = sleep
        self._next_at = 0.0

    def wait(self) -> None:
        """Waits until it is time for the next batch."""
        if (early := self._next_at - self._now()) > 0:
            self._sleep(early)

    def start(self, *, full: bool = False) -> None:
        """A batch begins. full: there was more than it may hold, and the next one need not gather."""
        self._next_at = 0.0 if full else self._now() + self._seconds
