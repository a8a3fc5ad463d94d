"""The policy for retries: how often, and after which delay."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Limits on retrying a request that is safe to repeat. All times in seconds."""

    attempts: int = 4  # including the first one
    first_delay: float = 0.25  # doubled each time, unless the hub sends a Retry-After
    longest_delay: float = 5.0  # limit of the doubling; a hub's Retry-After may be longer
    patience: float = 30.0  # no attempt starts later than this after the first

    @classmethod
    def lasting(cls, patience: float = math.inf) -> Self:
        """Return a policy that retries for `patience` seconds (by default forever), every 10 s at most.

        For a program that runs unattended and must survive a restart of the hub.
        """
        return cls(attempts=sys.maxsize, longest_delay=10.0, patience=patience)

    def delay(self, *, attempt: int, elapsed: float, retry_after: float | None) -> float | None:
        """Return the seconds to wait after the failed `attempt` (from 1); None to give up.

        Never shortens a Retry-After: if it exceeds the patience, returns None at once.
        """
        if attempt >= self.attempts:
            return None
        grown = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 60))
        wait = grown if retry_after is None else retry_after
        return wait if elapsed + wait <= self.patience else None
