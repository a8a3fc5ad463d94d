"""An orderly end on SIGTERM."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """SIGTERM has arrived. Not an Exception, like KeyboardInterrupt, so nothing catches it by accident."""


class Stopping:
    """Defers SIGTERM to places where nothing is lost or repeated. Only for the main thread."""

    def __init__(self) -> None:
        self.requested = False
        self._interruptible = False

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Handle SIGTERM while the context lasts."""
        before = signal.signal(signal.SIGTERM, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raise Stopped on SIGTERM while the context lasts, or at once if it has arrived already."""
        self._interruptible = True
        try:
            if self.requested:
                raise Stopped
            yield
        finally:
            self._interruptible = False

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises Stopped."""
        with self.interruptible():
            time.sleep(seconds)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._interruptible:
            raise Stopped
