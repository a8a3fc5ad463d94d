"""Token buckets: how much each caller may use at once, and how much is refilled in a minute.

A bucket is full at first and is refilled evenly, so a caller that has used up its burst continues at the
steady rate and does not wait for the end of a window.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

_MINUTE: Final = 60.0
# Sums of tenths are not exact in binary: without it, ten tenths would not make one.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """name: of the policy. burst: the most at once; per_minute: how much comes back in a minute."""

    name: str
    burst: int
    per_minute: float

    @property
    def per_second(self) -> float:
        """Return how much comes back in a second."""
        return self.per_minute / _MINUTE

    @property
    def window(self) -> int:
        """Return the seconds in which an empty bucket fills."""
        return max(1, math.ceil(self.burst / self.per_second))


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """The rest of a caller's allowance. reset: seconds until the caller has all of it."""

    allowance: Allowance
    left: int
    reset: int

    @property
    def policy(self) -> str:
        """Return the item of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)."""
        return f'"{self.allowance.name}";q={self.allowance.burst};w={self.allowance.window}'

    @property
    def limit(self) -> str:
        """Return the item of `RateLimit`."""
        return f'"{self.allowance.name}";r={self.left};t={self.reset}'


def rate_headers(*remaining: Remaining) -> Mapping[str, str]:
    """Return the headers of a response that state how much is left."""
    return {
        "RateLimit-Policy": ", ".join(one.policy for one in remaining),
        "RateLimit": ", ".join(one.limit for one in remaining),
    }


class TokenBuckets:
    """A bucket for each caller, in this process. Safe to share among greenlets.

    callers: names that others cannot invent: a bucket that was used once is kept. A bucket may be overdrawn
    by its own size at most, so that no caller waits longer than for two empty ones.
    """

    def __init__(self, allowance: Allowance, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, monotonic."""
        self.allowance = allowance
        self._clock = clock
        # caller -> (level, when it had this level). Negative: overdrawn.
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, wanted: int = 1) -> int:
        """Use as many of the wanted ones as there are; return their number."""
        taken = min(wanted, max(0, math.floor(self._level(caller) + _ROUNDING)))
        if taken:
            self.use(caller, taken)
        return taken

    def use(self, caller: str, amount: float) -> None:
        """Use an amount, even if that overdraws the bucket. Negative: give back."""
        burst = float(self.allowance.burst)
        level = min(burst, max(-burst, self._level(caller) - amount))
        self._levels[caller] = (level, self._clock())

    def is_overdrawn(self, caller: str) -> bool:
        """Return whether the caller has used more than there was."""
        return self._level(caller) < -_ROUNDING

    def seconds_until(self, caller: str, wanted: int = 1, *, owed: float = 0.0) -> int:
        """Return the whole seconds until the wanted ones are there, at least one; at most a burst is.

        owed: what the caller will have used before it waits.
        """
        level = max(-float(self.allowance.burst), self._level(caller) - owed)
        missing = min(wanted, self.allowance.burst) - level
        return max(1, math.ceil(missing / self.allowance.per_second - _ROUNDING))

    def remaining(self, caller: str) -> Remaining:
        """Return what is left for the caller."""
        level = self._level(caller)
        return Remaining(
            allowance=self.allowance,
            left=max(0, math.floor(level + _ROUNDING)),
            reset=max(0, math.ceil((self.allowance.burst - level) / self.allowance.per_second - _ROUNDING)),
        )

    def _level(self, caller: str) -> float:
        known = self._levels.get(caller)
        if known is None:
            return float(self.allowance.burst)
        level, at = known
        grown = level + (self._clock() - at) * self.allowance.per_second
        return min(float(self.allowance.burst), grown)
