"""The gateway's background work: one greenlet for submissions, one for each organisation's window."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from contracts.errors import Unavailable
from runtime.background import Spawn
from services.gateway.ports import BrokerUsers
from services.gateway.submission_desk import Received, SubmissionDesk, Verdict
from services.gateway.window_keeper import WindowKeeper

_log = logging.getLogger(__name__)

TAKE_SECONDS: Final = 1.0
# How soon a new user at the broker gets its window.
LOOK_SECONDS: Final = 2.0
# Pauses while the broker or the hub is unavailable: doubled up to the longest.
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0


class Submissions(Protocol):
    """The queue of submissions. `take` and `settle` raise BrokerUnavailable.

    parked, waiting: how many submissions were set aside, and how many of each organisation nobody has taken
    yet, as last counted.
    """

    parked: int
    waiting: dict[str, int]

    def take(self, seconds: float) -> list[tuple[int, Received]]:
        """Return submissions with their tags; none if none arrives in time."""
        ...

    def settle(self, verdicts: list[tuple[int, Verdict]]) -> None:
        """Acknowledge, requeue or park submissions by tag."""
        ...

    def close(self) -> None:
        """Close the connection; what is not settled is delivered again."""
        ...


@dataclass(slots=True)
class _Paced:
    """Submissions of an organisation beyond its rate, by tag. until: when they are processed again."""

    until: float
    taken: list[tuple[int, Received]]


class SubmissionWork:
    """Takes submissions and settles them (`application.Background`)."""

    def __init__(
        self,
        submissions: Submissions,
        desk: SubmissionDesk,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds from any origin."""
        self._submissions = submissions
        self._desk = desk
        self._clock = clock
        self._waiting_since: float | None = None
        # Not settled, so that the broker sends no more of these organisations than `take` may have at a time:
        # what an organisation publishes beyond its rate waits in its own queue, and is never refused.
        self._paced: dict[str, _Paced] = {}
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._fault: str | None = "The partners' broker is not connected yet."

    def unready(self) -> str | None:
        """Return why no submissions are taken; None when they are."""
        return self._fault

    def parked(self) -> int:
        """Return how many submissions were set aside."""
        return self._submissions.parked

    def waiting_seconds(self) -> float:
        """Return for how long submissions have waited without a pause; 0 while none waits.

        A submission waits if it was given back to the queue, or if the queue holds more than one batch. Those
        of an organisation that has used up its rate do not count.
        """
        return 0.0 if self._waiting_since is None else self._clock() - self._waiting_since

    def alarm(self) -> str | None:
        """Return a warning while submissions are set aside."""
        number = self._submissions.parked
        return f"{number} submissions in submissions.parked have no answer." if number else None

    def start(self, spawn: Spawn) -> None:
        """See `runtime.background.Background`."""
        self._ended.clear()
        spawn(self._run)

    def stop(self) -> None:
        """See `runtime.background.Background`."""
        self._stopping.set()
        self._ended.wait()
        self._submissions.close()

    def turn(self) -> frozenset[Verdict]:
        """Take and settle one batch; return its verdicts."""
        try:
            taken = self._due(self._submissions.take(TAKE_SECONDS))
            self._fault = None
            if not taken:
                self._note_waiting(False)
                return frozenset()
            verdicts = self._desk.process([received for _, received in taken])
            settled: list[tuple[int, Verdict]] = []
            for (tag, received), verdict in zip(taken, verdicts, strict=True):
                if verdict is Verdict.paced:
                    self._pace(tag, received)
                else:
                    settled.append((tag, verdict))
            self._note_waiting(Verdict.retried in verdicts or self._others_wait())
            self._submissions.settle(settled)
        except Unavailable:
            # The connection is lost, and the tags with it: the broker delivers these again.
            self._paced.clear()
            raise
        return frozenset(verdicts)

    def _due(self, taken: list[tuple[int, Received]]) -> list[tuple[int, Received]]:
        """Return what is to be processed now; what comes of a paced organisation goes behind its others."""
        now = self._clock()
        due = [one for paced in self._paced.values() if paced.until <= now for one in paced.taken]
        self._paced = {name: paced for name, paced in self._paced.items() if paced.until > now}
        for tag, received in taken:
            paced = self._paced.get(received.organization)
            if paced is None:
                due.append((tag, received))
            else:
                paced.taken.append((tag, received))
        return due

    def _pace(self, tag: int, received: Received) -> None:
        until = self._clock() + self._desk.paces[received.organization]
        self._paced.setdefault(received.organization, _Paced(until=until, taken=[])).taken.append(
            (tag, received)
        )

    def _others_wait(self) -> bool:
        return any(number for name, number in self._submissions.waiting.items() if name not in self._paced)

    def _note_waiting(self, waits: bool) -> None:
        if not waits:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self._clock()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while not self._stopping.is_set():
                try:
                    verdicts = self.turn()
                except Unavailable as error:
                    self._fault = str(error)
                    _log.warning("submissions cannot be taken", extra={"reason": str(error)})
                    verdicts = frozenset({Verdict.retried})
                if Verdict.retried not in verdicts:
                    pause = _FIRST_PAUSE
                    continue
                # What was requeued comes first again: one organisation must not slow the others down.
                others_go_on = len(verdicts) > 1
                self._stopping.wait(_FIRST_PAUSE if others_go_on else pause)
                pause = _FIRST_PAUSE if others_go_on else min(2 * pause, _LONGEST_PAUSE)
        finally:
            self._ended.set()


class WindowWork:
    """Starts and ends the windows as users appear and go (`application.Background`)."""

    def __init__(
        self,
        users: BrokerUsers,
        keeper_of: Callable[[str], WindowKeeper],
        beat: Callable[[], None],
    ) -> None:
        """beat: called every few seconds to keep the connection of the queues alive."""
        self._users = users
        self._keeper_of = keeper_of
        self._beat = beat
        self._keepers: dict[str, WindowKeeper] = {}
        self._stopping = threading.Event()
        self._running = 0
        self._spawn: Spawn | None = None
        self._fault: str | None = "The users of the partners' broker are not known yet."

    def unready(self) -> str | None:
        """Return why the windows may be out of date; None when they are not."""
        return self._fault

    def states(self) -> tuple[int, int]:
        """Return how many organisations have access to their queues, and how many have not."""
        is_open = sum(keeper.is_open for keeper in self._keepers.values())
        return is_open, len(self._keepers) - is_open

    def unproved(self) -> int:
        """Return the copies whose acknowledgement is not proved."""
        return sum(keeper.unproved for keeper in self._keepers.values())

    def start(self, spawn: Spawn) -> None:
        """See `runtime.background.Background`."""
        self._spawn = spawn
        self._begin(self._look_for_ever)

    def stop(self) -> None:
        """See `runtime.background.Background`. A long poll under way ends with the process."""
        self._stopping.set()

    def look(self) -> None:
        """Start the windows of new users, and let those of removed users end. Raises Unavailable."""
        wanted = {access.organization for access in self._users.all()}
        for organization in wanted - self._keepers.keys():
            self._keepers[organization] = self._keeper_of(organization)
            self._begin(lambda organization=organization: self._keep(organization))  # type: ignore[misc]
        for organization in self._keepers.keys() - wanted:
            del self._keepers[organization]
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
        keeper = self._keepers.get(organization)
        while keeper is not None and not self._stopping.is_set():
            started = time.monotonic()
            pause = keeper.turn()
            # A turn that neither waits nor pauses must not take the process for itself.
            self._stopping.wait(max(pause, 0.05 if time.monotonic() - started < 0.05 else 0.0))
            if self._keepers.get(organization) is not keeper:
                keeper = None

    def _begin(self, work: Callable[[], None]) -> None:
        assert self._spawn is not None
        self._spawn(work)
