"""The background work with windows: one is started for each user of the partners' broker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from contracts.errors import Unavailable
from runtime.background import Spawn
from services.gateway.ports import BrokerUsers
from services.gateway.window_updater import WindowUpdater

_log = logging.getLogger(__name__)

# How soon a new user at the broker gets its window.
LOOK_SECONDS: Final = 2.0


class WindowWork:
    """Starts and ends the windows as users appear and go (`application.Background`)."""

    def __init__(
        self,
        users: BrokerUsers,
        updater_of: Callable[[str], WindowUpdater],
        beat: Callable[[], None],
    ) -> None:
        """beat: called every few seconds to keep the connection of the queues alive."""
        self._users = users
        self._updater_of = updater_of
        self._beat = beat
        self._updaters: dict[str, WindowUpdater] = {}
        self._stopping = threading.Event()
        self._running = 0
        self._spawn: Spawn | None = None
        self._fault: str | None = "The users of the partners' broker are not known yet."

    def unready(self) -> str | None:
        """Return why the windows may be out of date; None when they are not."""
        return self._fault

    def states(self) -> tuple[int, int]:
        """Return how many organisations have access to their queues, and how many have not."""
        is_open = sum(updater.is_open for updater in self._updaters.values())
        return is_open, len(self._updaters) - is_open

    def unproved(self) -> int:
        """Return the copies whose acknowledgement is not proved."""
        return sum(updater.unproved for updater in self._updaters.values())

    def start(self, spawn: Spawn) -> None:
        """See `runtime.background.Background`."""
        self._spawn = spawn
        self._begin(self._look_for_ever)

    def stop(self) -> None:
        """See `runtime.background.Background`. A long poll under way ends with the process."""
        self._stopping.set()

    def look(self) -> None:
        """Start the windows of new users, and let those of removed users end. Raises Unavailable."""
        wanted = set(self._users.all())
        for organization in wanted - self._updaters.keys():
            self._updaters[organization] = self._updater_of(organization)
            self._begin(lambda organization=organization: self._keep(organization))  # type: ignore[misc]
        for organization in self._updaters.keys() - wanted:
            del self._updaters[organization]
        self._fault = None

    def _look_for_ever(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
                self._beat()
            except Unavailable as error:
                self._fault = str(error)
                _log.warning("partners' users cannot be read", extra={"reason": str(error)})
            self._stopping.wait(LOOK_SECONDS)

    def _keep(self, organization: str) -> None:
        updater = self._updaters.get(organization)
        while updater is not None and not self._stopping.is_set():
            started = time.monotonic()
            pause = updater.turn()
            # A turn that neither waits nor pauses must not take the process for itself.
            self._stopping.wait(max(pause, 0.05 if time.monotonic() - started < 0.05 else 0.0))
            if self._updaters.get(organization) is not updater:
                updater = None

    def _begin(self, work: Callable[[], None]) -> None:
        assert self._spawn is not None
        self._spawn(work)
