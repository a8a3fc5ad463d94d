"""The timer that fires deadlines, ends offers and decides unplaced referrals again, by polling."""

from __future__ import annotations

import logging
import threading

from contracts.errors import KopuroError
from runtime.background import Spawn
from runtime.clock import Clock
from services.routing.handlers.commands import DUE_AT_ONCE, RoutingCommands

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# After a restart the consumer first reads the answers that arrived meanwhile.
SECONDS_AFTER_START = 2.0
POLLS_BETWEEN_RECALLS = 40
# One second: an offer to a suspended organisation must move to the next candidate within five.
POLLS_BETWEEN_STANDINGS = 4


class DeadlineTimer:
    """A background thread beside the consumers (`runtime.application.Background`)."""

    def __init__(self, commands: RoutingCommands, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock
        self._stopping = threading.Event()

    def start(self, spawn: Spawn) -> None:
        """Start polling."""
        self._commands.recall()
        spawn(self._run)

    def stop(self) -> None:
        """Stop after the current poll."""
        self._stopping.set()

    def _run(self) -> None:
        polls = 0
        self._stopping.wait(SECONDS_AFTER_START)
        while not self._stopping.wait(POLL_SECONDS):
            try:
                # A full page means that more may be due: poll again without a pause.
                while self._commands.fire_deadlines(self._clock.now()) >= DUE_AT_ONCE:
                    if self._stopping.is_set():
                        return
                if polls % POLLS_BETWEEN_STANDINGS == 0:
                    while self._commands.act_on_suspensions(self._clock.now()) >= DUE_AT_ONCE:
                        if self._stopping.is_set():
                            return
                self._commands.end_unapproved_offers(self._clock.now())
                self._commands.decide_unplaced_again(self._clock.now())
                if polls % POLLS_BETWEEN_RECALLS == 0:
                    self._commands.recall()
            except KopuroError as error:
                _log.warning("deadline poll failed", extra={"reason": str(error)})
            polls += 1
