"""Turns of callers: in each round of the event loop only a few requests of one caller begin.

Requests that arrive together would otherwise be parsed and authorised together, and hold the process for as
long as all of them need. Between two rounds, the requests of others run. Connections take turns in the same
way when their first bytes arrive together, and when their heads are late together.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from eventlet import hubs
from eventlet.event import Event

A_ROUND: Final = 4  # requests of one caller; each needs about a millisecond


class FairTurns:
    """Requests that are about to begin, by caller. Safe to share among greenlets, not among threads."""

    def __init__(self, a_round: int = A_ROUND) -> None:
        self._a_round = a_round
        self._begun: dict[str, int] = {}  # requests begun in this round, by caller
        self._waiting: dict[str, deque[Event]] = {}
        self._ends = False  # whether the end of this round is scheduled

    def wait(self, caller: str) -> None:
        """Return at once, or in a later round if enough requests of the caller have begun in this one.

        The requests of a caller begin in the order of their arrival.
        """
        self._schedule()
        queue = self._waiting.get(caller)
        if queue is None:
            begun = self._begun.get(caller, 0)
            if begun < self._a_round:
                self._begun[caller] = begun + 1
                return
            queue = self._waiting[caller] = deque()
        turn = Event()
        queue.append(turn)
        turn.wait()

    def _schedule(self) -> None:
        if not self._ends:
            self._ends = True
            hubs.get_hub().schedule_call_global(0, self._end_round)

    def _end_round(self) -> None:
        """Begin another round with the requests that wait. Runs in the event loop itself: it never blocks."""
        self._ends = False
        self._begun.clear()
        for caller, queue in list(self._waiting.items()):
            begin = min(self._a_round, len(queue))
            for _ in range(begin):
                queue.popleft().send()
            self._begun[caller] = begin
            if not queue:
                del self._waiting[caller]
        if self._begun:
            self._schedule()
