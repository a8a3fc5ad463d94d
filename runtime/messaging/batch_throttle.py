"""Throttling of batch loops, so that messages gather into larger batches.

A batch of one message costs nearly as much processor and disk time as a batch of ten. So a loop keeps a
minimum interval between the starts of two batches, and after a batch it rests for as long as the batch took.
On a machine with busy processors a batch takes longer, so rests and batches grow, and each message takes
less processor time. The first batch after an idle time does not wait, nor does the batch after a full one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# A rest delays each message that arrives meanwhile by as much.
LONGEST_REST_SECONDS: Final = 0.05


class BatchThrottle:
    """The throttle of one loop."""

    def __init__(
        self,
        seconds: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """seconds: the minimum interval between the starts of two batches. 0: neither interval nor rest."""
        self._seconds = seconds
        self._now = now
        self._sleep = sleep
        self._began = 0.0
        self._next_at = 0.0

    def wait(self) -> None:
        """Wait until the next batch may start."""
        if (early := self._next_at - self._now()) > 0:
            self._sleep(early)

    def begin(self) -> None:
        """Record the start of a batch."""
        self._began = self._now()
        self._next_at = self._began + self._seconds

    def end(self, *, full: bool = False, seconds: float | None = None) -> None:
        """Record the end of the batch that began last; after a batch that failed, only the interval applies.

        full: more messages wait, so the next batch starts at once. seconds: another interval between the
        starts of this batch and the next.
        """
        if full or not self._seconds:
            self._next_at = 0.0
            return
        ended = self._now()
        interval = self._seconds if seconds is None else seconds
        rest = min(ended - self._began, LONGEST_REST_SECONDS)
        self._next_at = max(self._began + interval, ended + rest)
