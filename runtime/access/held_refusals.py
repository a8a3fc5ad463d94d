"""Refusals that wait before they are sent, so that a caller that asks again at once costs little.

Otherwise a program that repeats each refused request at once would flood the hub: the hub would parse its
next request as soon as it has refused the last. While its refusal is held, a connection sends nothing, and a
held greenlet uses no processor time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from runtime.access.address_counters import counter_of
from runtime.access.token_buckets import Allowance, TokenBuckets

# A client waits longer than that for an answer.
HOLD_SECONDS: Final = 10.0
# Less where the caller is not known: behind one address there may be others whose token has just expired.
HOLD_ADDRESS_SECONDS: Final = 2.0
# Refusals of one caller that are sent at once. A program that waits as `Retry-After` says gets no more.
_OF_CALLER: Final = Allowance(name="refusals", burst=20, per_minute=20)
_OF_ADDRESS: Final = Allowance(name="refusals", burst=600, per_minute=600)
# Held refusals of one caller; each has a connection and a greenlet.
MOST_HELD: Final = 256


class HeldRefusals:
    """Holds refusals of callers that get many. Safe to share among greenlets.

    A caller is an organisation, or without a valid token an address.
    """

    def __init__(
        self,
        *,
        most: int = MOST_HELD,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """most: held refusals of one caller at a time. draw: returns a number from 0 to 1."""
        self._most = most
        self._of_callers = TokenBuckets(_OF_CALLER, clock)
        self._of_addresses = TokenBuckets(_OF_ADDRESS, clock)
        self._held: dict[str, int] = {}
        self._draw = draw
        self._released = threading.Event()

    def seconds_for(self, caller: str | None, address: str) -> float:
        """Count a refusal; return for how long it is to be held, 0 to send it at once.

        caller: None if the request has no valid token; then it counts for the address.
        """
        if caller is not None:
            return 0.0 if self._of_callers.take(caller) else HOLD_SECONDS
        return 0.0 if self._of_addresses.take(counter_of(address)) else HOLD_ADDRESS_SECONDS

    def hold(self, caller: str | None, address: str, seconds: float) -> bool:
        """Wait, at most until `release`. Return False at once if as many refusals of the caller wait already.

        Then its connection should be closed: to open another one costs the caller more than a request.

        The wait is from half of the seconds to all of them. Connections that were refused together would
        otherwise ask again together, and use up at once what their caller's rate has saved up meanwhile.
        """
        name = counter_of(address) if caller is None else caller
        held = self._held.get(name, 0)
        if held >= self._most:
            return False
        self._held[name] = held + 1
        try:
            self._released.wait(seconds * (1 + self._draw()) / 2)
        finally:
            left = self._held[name] - 1
            if left:
                self._held[name] = left
            else:
                del self._held[name]
        return True

    def release(self) -> None:
        """Send all held refusals now, and hold none from now on: the process stops."""
        self._released.set()
