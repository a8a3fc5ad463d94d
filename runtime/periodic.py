"""Work that is done every so many seconds, and at once when somebody asks for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from contracts.errors import Unavailable
from runtime.background import Spawn

_log = logging.getLogger(__name__)


class Periodic:
    """Calls `work` again and again (`application.Background`).

    work: may raise Unavailable, which ends this turn only; anything else ends the process. It is never
    called twice at a time.
    """

    def __init__(self, name: str, work: Callable[[], object], *, seconds: float) -> None:
        """name: for the log. seconds: between the end of one turn and the beginning of the next."""
        self._name = name
        self._work = work
        self._seconds = seconds
        self._wake = threading.Event()
        self._stopping = False
        self._ended = threading.Event()
        self._ended.set()

    def start(self, spawn: Spawn) -> None:
        """Begin with a first turn at once."""
        self._ended.clear()
        spawn(self._run)

    def wake(self) -> None:
        """Have a turn soon, without waiting for the time."""
        self._wake.set()

    def stop(self) -> None:
        """Return when the turn under way has ended."""
        self._stopping = True
        self._wake.set()
        self._ended.wait()

    def _run(self) -> None:
        try:
            while not self._stopping:
                # Cleared before the work looks: what is asked for meanwhile gets a turn of its own.
                self._wake.clear()
                try:
                    self._work()
                except Unavailable as error:
                    _log.warning("turn missed", extra={"work": self._name, "reason": str(error)})
                if not self._stopping:
                    self._wake.wait(self._seconds)
        finally:
            self._ended.set()
