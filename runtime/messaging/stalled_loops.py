"""The loops of a process that are stalled because the broker or the database is unreachable.

Each loop resumes by itself. Operators must know which loops are stalled, since when and why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Pause:
    since: float
    reason: str


class StalledLoops:
    """The stalled loops of one process: its relay, its consumers and its watch of the broker."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._stalled_loops: dict[str, _Pause] = {}

    def stalled(self, loop: str, reason: str) -> None:
        """Record that the loop failed. Call it on every failed attempt."""
        before = self._stalled_loops.get(loop)
        self._stalled_loops[loop] = _Pause(before.since if before else self._now(), reason)

    def resumed(self, loop: str) -> None:
        """Record that the loop succeeded or had nothing to do."""
        self._stalled_loops.pop(loop, None)

    def longest(self) -> float:
        """Return the longest current stall in seconds; 0 when no loop is stalled."""
        return max((self._now() - pause.since for pause in list(self._stalled_loops.values())), default=0.0)

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: each stalled loop with its last reason, longest stall first."""
        stalled_loops = sorted(self._stalled_loops.items(), key=lambda item: item[1].since)
        now = self._now()
        texts = [
            f"{loop} paused for {now - pause.since:.0f} s: {pause.reason}" for loop, pause in stalled_loops
        ]
        return "; ".join(texts) or None
