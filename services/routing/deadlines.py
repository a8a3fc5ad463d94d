"""The timer: fires what is due, and acts on suspensions. An indexed poll; between polls it sleeps."""

from __future__ import annotations

import logging
import threading

from contracts.errors import KopuroError
from runtime.background import Spawn
from runtime.clock import Clock
from services.routing.handlers.commands import DUE_AT_ONCE, RoutingCommands

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# After a restart the answers that came while nobody read them are read first.
SECONDS_AFTER_START = 2.0
POLLS_BETWEEN_RECALLS = 40
# One second: an offer to an organisation that is suspended is revoked and made to another within five.
POLLS_BETWEEN_STANDINGS = 4


class DeadlineTimer:
    """Runs beside the consumers (`runtime.application.Background`)."""

    def __init__(self, commands: RoutingCommands, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock
        self._stopping = threading.Event()

    def start(self, spawn: Spawn) -> None:
        """Begins to poll."""
        self._commands.recall()
        spawn(self._run)

    def stop(self) -> None:
        """Ends after the poll under way."""
        self._stopping.set()

    def _run(self) -> None:
        polls = 0
        self._stopping.wait(SECONDS_AFTER_START)
        while not self._stopping.wait(POLL_SECONDS):
            try:
                # a full hand means there may be more: no pause before the next
                while self._commands.fire_deadlines(self._clock.now()) >= DUE_AT_ONCE:
                    if self._stopping.is_set():
                        return
                if polls % POLLS_BETWEEN_STANDINGS == 0:
                    while self._commands.act_on_suspensions(self._clock.now()) >= DUE_AT_ONCE:
                        if self._stopping.is_set():
                            return
                if polls % POLLS_BETWEEN_RECALLS == 0:
                    self._commands.recall()
            except KopuroError as error:
                _log.warning("deadlines wait", extra={"reason": str(error)})
            polls += 1
