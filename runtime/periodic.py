"""Work that runs at an interval, and at once on request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from contracts.errors import Unavailable
from runtime.background import Spawn

_log = logging.getLogger(__name__)


class Periodic:
    """Calls `work` repeatedly (`application.Background`).

    work: may raise Unavailable, which ends only this run; any other exception ends the process. Runs never
    overlap.
    """

    def __init__(self, name: str, work: Callable[[], object], *, seconds: float) -> None:
        """name: for the log. seconds: from the end of one run to the start of the next."""
        self._name = name
        self._work = work
        self._seconds = seconds
        self._wake = threading.Event()
        self._stopping = False
        self._ended = threading.Event()
        self._ended.set()

    def start(self, spawn: Spawn) -> None:
        """Start with a first run at once."""
        self._ended.clear()
        spawn(self._run)

    def wake(self) -> None:
        """Run soon, without waiting for the interval."""
        self._wake.set()

    def stop(self) -> None:
        """Stop; return when the current run has ended."""
        self._stopping = True
        self._wake.set()
        self._ended.wait()

    def _run(self) -> None:
        try:
            while not self._stopping:
                # Cleared before the work starts, so that a request during the run causes another run.
                self._wake.clear()
                try:
                    self._work()
                except Unavailable as error:
                    _log.warning("periodic work failed", extra={"work": self._name, "reason": str(error)})
                if not self._stopping:
                    self._wake.wait(self._seconds)
        finally:
            self._ended.set()
