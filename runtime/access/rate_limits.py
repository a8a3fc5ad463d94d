"""The most requests of one organisation in a minute, and the headers that tell it how many are left.

`CallerLimits` shares a process fairly among its callers at every moment. This limit bounds what one of them
may cost over time, so that an endless loop at a partner is noticed there first.
Source: draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from contracts.errors import RateLimited

WINDOW_SECONDS: Final = 60
_POLICY: Final = '"organization"'


@dataclass(frozen=True, slots=True)
class Remaining:
    """The requests that a caller has left. reset: seconds until more are there."""

    limit: int
    requests: int
    reset: int

    def headers(self) -> Mapping[str, str]:
        """Return the response's headers."""
        return {
            "RateLimit-Policy": f"{_POLICY};q={self.limit};w={WINDOW_SECONDS}",
            "RateLimit": f"{_POLICY};r={self.requests};t={self.reset}",
        }


class RateLimits:
    """The requests of each caller in the last minute, in this process. Safe to share among greenlets."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, caller: str) -> bool:
        """Count a request of the caller; return False, and count nothing, if it has had its most."""
        return self._limiter.hit(self._item, caller)

    def remaining(self, caller: str) -> Remaining:
        """Return what is left for the caller."""
        stats = self._limiter.get_window_stats(self._item, caller)
        reset = max(0, math.ceil(stats.reset_time - time.time()))
        return Remaining(limit=self._item.amount, requests=max(0, stats.remaining), reset=reset)


def rate_limited(remaining: Remaining) -> RateLimited:
    """Return the error of a request beyond the limit."""
    return RateLimited(
        f"Your organisation has sent more than {remaining.limit} requests in a minute.",
        retry_after=max(1, remaining.reset),
    )
