"""Limits on the concurrent requests of one caller, so that a flood of one does not starve the others.

Every request in progress gets its turn in each round of the event loop, so each makes the others slower.
The number of requests in progress is therefore bounded for each caller. Its further requests wait until one
of its own ends, in the order of their arrival.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from contracts.errors import Unavailable

WAIT_SECONDS: Final = 10.0
_RETRY_AFTER: Final = 2


@dataclass(frozen=True, slots=True)
class _Limit:
    active: int
    waiting: int


class Share(Enum):
    """The requests of a caller that count together. Reads do not keep the caller's submissions waiting.

    report: a read that takes as much work as many others, such as a story. simulation: as much work as
    thousands of them.
    credentials: what ends a stolen token. The thief's own requests must not keep them waiting, so the rate of
    requests (`rate_limits.py`) does not count them either.
    """

    read = "read"
    report = "report"
    simulation = "simulation"
    change = "change"
    batch = "batch"
    long_poll = "long poll"
    credentials = "credentials"


_LIMITS: Final = {
    Share.read: _Limit(active=16, waiting=512),
    Share.report: _Limit(active=2, waiting=32),
    Share.simulation: _Limit(active=1, waiting=4),
    Share.change: _Limit(active=16, waiting=512),
    Share.batch: _Limit(active=2, waiting=32),  # a line costs as much as a request
    Share.long_poll: _Limit(active=256, waiting=0),  # it waits in its handler, at no cost
    Share.credentials: _Limit(active=4, waiting=32),
}


class _Requests:
    """The requests of one caller and share. count: active and waiting."""

    __slots__ = ("count", "slots")

    def __init__(self, limit: _Limit) -> None:
        self.count = 0
        self.slots = threading.Semaphore(limit.active)


class CallerLimits:
    """The requests in progress by caller and share. Safe to share among greenlets."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        """draw: returns a number from 0 to 1."""
        self._draw = draw
        self._requests: dict[tuple[str, Share], _Requests] = {}

    @contextmanager
    def slot(self, caller: str, share: Share) -> Iterator[None]:
        """Hold one of the caller's slots, waiting for it at most WAIT_SECONDS, and at least half of that.

        The time is drawn: requests that began to wait together are not refused together, which would hold
        the process for as long as all of their refusals need.
        Raises Unavailable (503 with Retry-After) when too many requests wait, or none ends in time.
        """
        key = (caller, share)
        limit = _LIMITS[share]
        requests = self._requests.get(key)
        if requests is None:
            requests = self._requests[key] = _Requests(limit)
        if requests.count >= limit.active + limit.waiting:
            raise _too_many()
        requests.count += 1
        try:
            if not requests.slots.acquire(timeout=WAIT_SECONDS * (1 + self._draw()) / 2):
                raise _too_many()
            try:
                yield
            finally:
                requests.slots.release()
        finally:
            requests.count -= 1
            if requests.count == 0:
                del self._requests[key]


def _too_many() -> Unavailable:
    return Unavailable("Too many requests of this caller are in progress.", retry_after=_RETRY_AFTER)
