"""When to ask again, and how long to wait first: a policy as a value."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Bounds on repeating a request that is safe to repeat. All times in seconds."""

    attempts: int = 4  # the first one counts
    first_delay: float = 0.25  # doubled each time, where the hub names no time
    longest_delay: float = 5.0  # of the doubling; a hub's Retry-After may ask for more
    patience: float = 30.0  # no attempt starts later than this after the first

    @classmethod
    def lasting(cls, patience: float = math.inf) -> Self:
        """Repeats for `patience` seconds, for ever unless told otherwise, at most 10 seconds apart.

        For a program that runs unattended and shall outlast a restart of the hub.
        """
        return cls(attempts=sys.maxsize, longest_delay=10.0, patience=patience)

    def delay(self, *, attempt: int, elapsed: float, retry_after: float | None) -> float | None:
        """How long to wait after the failed `attempt` (from 1); None: give up now.

        A Retry-After is never shortened: if it goes beyond our patience, the caller is told at once
        instead.
        """
        if attempt >= self.attempts:
            return None
        grown = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 60))
        wait = grown if retry_after is None else retry_after
        return wait if elapsed + wait <= self.patience else None
