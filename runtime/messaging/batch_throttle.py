"""Throttling of batch loops, so that messages gather into larger batches.

A batch of one message costs nearly as much processor and disk time as a batch of ten. So a loop keeps a
minimum interval between the starts of two batches. The first batch after an idle time does not wait, nor does
the batch after a full one.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class BatchThrottle:
    """The throttle of one loop."""

    def __init__(
        self,
        seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """seconds: the minimum interval between the starts of two batches."""
        self._seconds = seconds
        self._now = now
        self._sleep = sleep
        self._next_at = 0.0

    def wait(self) -> None:
        """Wait until the next batch may start."""
        if (early := self._next_at - self._now()) > 0:
            self._sleep(early)

    def start(self, *, full: bool = False, seconds: float | None = None) -> None:
        """Record the start of a batch. full: more messages wait, so the next batch starts at once.

        seconds: another interval until the next batch, once.
        """
        self._next_at = 0.0 if full else self._now() + (self._seconds if seconds is None else seconds)
