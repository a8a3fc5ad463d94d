"""The timer that fires deadlines, ends offers and decides unplaced referrals again, by polling.

A poll is skipped while it would find nothing: nothing was committed, by whichever process, the directory and
the policy are the same, and no deadline has come.

It waits while the directory is not complete: a decision would find no candidate, an approval would seem to be
missing, and answers that came in time wait too.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable

from contracts.errors import KopuroError
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.entrypoints.batches import LONGEST_PAUSE_SECONDS
from services.routing.handlers.commands import DUE_AT_ONCE, RoutingCommands

_log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
# After a restart the consumer first reads the answers that arrived meanwhile.
SECONDS_AFTER_START = 2.0
# The same once the directory is complete: a consumer that was held back may pause so long before it reads.
SECONDS_AFTER_WAITING = SECONDS_AFTER_START + LONGEST_PAUSE_SECONDS
POLLS_BETWEEN_RECALLS = 40
# One second: an offer to a suspended organisation must move to the next candidate within five.
POLLS_BETWEEN_STANDINGS = 4
# Not every poll is skipped, because a change may have been missed. An offer to a suspended organisation moves
# in time even then.
POLLS_BETWEEN_LOOKS = 16


class DeadlineTimer:
    """A background thread beside the consumers (`runtime.application.Background`)."""

    def __init__(self, commands: RoutingCommands, clock: Clock, unready: Callable[[], str | None]) -> None:
        """unready: returns why the directory is not complete, or None."""
        self._commands = commands
        self._clock = clock
        self._unready = unready
        self._stopping = threading.Event()
        self._polls = 0
        self._waits = False
        # `RoutingCommands.inputs` of the last poll, and how many polls have had the same since.
        self._inputs: object = None
        self._same = 0
        self._idle_until = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._has_failed = False

    def start(self, spawn: Spawn) -> None:
        """Start polling."""
        self._commands.recall()
        spawn(self._run)

    def stop(self) -> None:
        """Stop after the current poll."""
        self._stopping.set()

    def _run(self) -> None:
        pause = SECONDS_AFTER_START
        while not self._stopping.wait(pause):
            pause = self.turn()

    def turn(self) -> float:
        """Poll if the directory is complete. Return the seconds until the next turn."""
        waited, self._waits = self._waits, not self._is_complete()
        if self._waits:
            return POLL_SECONDS
        if waited:
            return SECONDS_AFTER_WAITING
        if not self._is_idle(self._polls):
            self.poll(self._polls)
            self._note_idleness()
        self._polls += 1
        return POLL_SECONDS

    def _is_idle(self, number: int) -> bool:
        """Return whether a poll would find nothing to do."""
        try:
            inputs = self._commands.inputs()
        except KopuroError as error:
            _log.warning("deadline poll failed", extra={"reason": str(error)})
            self._inputs = None
            return False
        if inputs != self._inputs:
            self._inputs, self._same = inputs, 0
            return False
        if number % POLLS_BETWEEN_LOOKS == 0 or number % POLLS_BETWEEN_RECALLS == 0:
            return False
        return self._same >= POLLS_BETWEEN_STANDINGS and self._clock.now() < self._idle_until

    def _note_idleness(self) -> None:
        """Count the polls since a change: after this many, each step was taken at least once."""
        self._same += 1
        self._idle_until = self._clock.now()
        if self._has_failed:
            self._same, self._has_failed = 0, False
        elif self._same >= POLLS_BETWEEN_STANDINGS:
            self._try(self._find_idleness)

    def _find_idleness(self) -> None:
        self._idle_until = self._commands.idle_until(self._clock.now())

    def _is_complete(self) -> bool:
        try:
            return self._unready() is None
        except KopuroError as error:
            _log.warning("deadline poll failed", extra={"reason": str(error)})
            return False

    def poll(self, number: int) -> None:
        """Do what is due. A step that fails delays none of the others. number: of the earlier polls."""
        self._try(lambda: self._all_due(self._commands.fire_deadlines))
        if number % POLLS_BETWEEN_STANDINGS == 0:
            self._try(lambda: self._all_due(self._commands.act_on_suspensions))
        self._try(lambda: self._commands.end_uncovered_offers(self._clock.now()))
        self._try(lambda: self._commands.decide_unplaced_again(self._clock.now()))
        if number % POLLS_BETWEEN_RECALLS == 0:
            self._try(self._commands.recall)

    def _all_due(self, act: Callable[[dt.datetime], int]) -> None:
        # A full page means that more may be due: act again without a pause.
        while not self._stopping.is_set() and act(self._clock.now()) >= DUE_AT_ONCE:
            pass

    def _try(self, step: Callable[[], object]) -> None:
        if self._stopping.is_set():
            return
        try:
            step()
        except KopuroError as error:
            self._has_failed = True
            _log.warning("deadline poll failed", extra={"reason": str(error)})
