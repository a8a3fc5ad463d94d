"""Which of a process's loops stand still, and since when: broker or database cannot be reached.

Each of them goes on by itself. What operators must know is that nothing moves meanwhile, and why.
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
    """Of one process: its relay and its consumers."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._stalled_loops: dict[str, _Pause] = {}

    def stalled(self, loop: str, reason: str) -> None:
        """The loop could not do its work; said each time that it tries in vain."""
        before = self._stalled_loops.get(loop)
        self._stalled_loops[loop] = _Pause(before.since if before else self._now(), reason)

    def resumed(self, loop: str) -> None:
        """The loop did its work, or had none to do."""
        self._stalled_loops.pop(loop, None)

    def longest(self) -> float:
        """For how many seconds the first of those that still stand has been standing; 0 if none does."""
        return max((self._now() - pause.since for pause in list(self._stalled_loops.values())), default=0.0)

    def alarm(self) -> str | None:
        """For `/readyz`: every loop that stands, the first to stop first, with its last reason."""
        stalled_loops = sorted(self._stalled_loops.items(), key=lambda item: item[1].since)
        now = self._now()
        texts = [
            f"{loop} paused for {now - pause.since:.0f} s: {pause.reason}" for loop, pause in stalled_loops
        ]
        return "; ".join(texts) or None
