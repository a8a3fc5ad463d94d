"""The rates of one organisation: of all its requests, and of what it submits.

`CallerLimits` shares a process fairly among its callers at every moment. These bound what one of them may
cost over time. A submission is work for every service of the hub, a request for two or three of them at most,
so each has a rate of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from contracts.errors import RateLimited, TooManySubmissions
from runtime.access.address_counters import counter_of
from runtime.access.token_buckets import Allowance, Remaining, TokenBuckets

REQUESTS: Final = "organization"
# All requests of this many seconds may come at once.
_BURST_SECONDS: Final = 10
# The cost of a submission that gives the hub no new work: a repeated one, or one beyond the rate.
IDLE_COST: Final = 0.1
# The cost of an invalid one: to find its faults takes intake longer than to admit a valid one, but the other
# services have no work.
REFUSED_COST: Final = 0.5
# An address may send this multiple of one organisation's requests without a token. Several organisations
# share an address, and a reader of the whole log asks for thousands of tiles.
_OF_ADDRESS: Final = 4


class Work(Enum):
    """A kind of submissions. Each kind has a rate of its own.

    An organisation that imports thousands of referrals can still answer offers and record a revoked consent.
    """

    referrals = "referrals"
    statements = "statements"  # answers, reports, notes and other commands about existing referrals


class RequestRates:
    """The requests of each caller, and of each address without one. Safe to share among greenlets."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        burst = max(1, per_minute * _BURST_SECONDS // 60)
        self._buckets = TokenBuckets(Allowance(name=REQUESTS, burst=burst, per_minute=per_minute), clock)
        of_address = Allowance(name="address", burst=_OF_ADDRESS * burst, per_minute=_OF_ADDRESS * per_minute)
        self._of_addresses = TokenBuckets(of_address, clock)

    def require_public(self, address: str) -> None:
        """Count a request of an address without a token. Raises RateLimited if it has none left."""
        counter = counter_of(address)
        if self._of_addresses.take(counter) == 0:
            raise RateLimited(
                f"Your address has sent {_beyond(self._of_addresses.allowance)}, without a token.",
                retry_after=self._of_addresses.seconds_until(counter),
            )

    def take(self, caller: str) -> bool:
        """Count a request of the caller; return False, and count nothing, if it has none left."""
        return self._buckets.take(caller) == 1

    def is_overdrawn(self, caller: str) -> bool:
        """Return whether the bodies of the caller have used more than there was."""
        return self._buckets.is_overdrawn(caller)

    def use(self, caller: str) -> None:
        """Count a further piece of a body, even if that overdraws the rate."""
        self._buckets.use(caller, 1)

    def remaining(self, caller: str) -> Remaining:
        """Return what is left for the caller."""
        return self._buckets.remaining(caller)

    def refusal(self, caller: str) -> RateLimited:
        """Return the error of a request beyond the rate."""
        return RateLimited(
            f"Your organisation has sent {_beyond(self._buckets.allowance)}."
            " A body counts once for each started 64 KiB.",
            retry_after=self._buckets.seconds_until(caller),
        )


def _beyond(allowance: Allowance) -> str:
    """Return the limits that a caller exceeded: one far below its rate may have used up the burst."""
    return f"more than {allowance.burst} requests at once, or more than {allowance.per_minute} a minute"


class SubmissionRates:
    """The submissions of each organisation: each line of a batch is one. Safe to share among greenlets."""

    def __init__(self, *, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """per_minute, burst: of each kind of work."""
        self._buckets: Mapping[Work, TokenBuckets] = {
            work: TokenBuckets(Allowance(name=work.value, burst=burst, per_minute=per_minute), clock)
            for work in Work
        }

    def require_any(self, organization: str, work: Work) -> None:
        """Raise TooManySubmissions if the organisation has none left. Counts nothing."""
        if self.remaining(organization, work).left < 1:
            raise self.refusal(organization, work)

    def take(self, organization: str, work: Work, wanted: int) -> int:
        """Count submissions, as many of the wanted ones as are left; return their number."""
        return self._buckets[work].take(organization, wanted)

    def settle(
        self, organization: str, work: Work, *, taken: int, new: int, idle: int, refused: int = 0
    ) -> None:
        """Give back what was taken and not needed, and count what gave no new work.

        new: submissions that were admitted; idle: those that were repeated or refused; refused: those of
        them that were invalid. Idle ones may overdraw, so that a sender of thousands of them waits as well.
        """
        cost = new + IDLE_COST * idle + (REFUSED_COST - IDLE_COST) * refused
        self._buckets[work].use(organization, cost - taken)

    def remaining(self, organization: str, work: Work) -> Remaining:
        """Return what is left for the organisation."""
        return self._buckets[work].remaining(organization)

    def refusal(
        self, organization: str, work: Work, refused: int = 1, *, idle: int = 0, invalid: int = 0
    ) -> TooManySubmissions:
        """Return the error of submissions beyond the rate. refused: how many there are in all.

        idle, invalid: the submissions of the same request that `settle` is going to count as idle, and as
        refused. They cost a part of what comes back meanwhile.
        """
        buckets = self._buckets[work]
        owed = IDLE_COST * idle + (REFUSED_COST - IDLE_COST) * invalid
        return TooManySubmissions(
            f"Your organisation has submitted more than {buckets.allowance.burst} {work.value} at once, or"
            f" more than {buckets.allowance.per_minute} a minute. Repeat after `retry_after` seconds.",
            retry_after=buckets.seconds_until(organization, refused, owed=owed),
        )
