"""The rate of sealed bytes of each organisation: of the cases and notes that it submits.

The rate of submissions bounds their number; a case may have a megabyte. Over HTTP, sealed bytes beyond the
rate are refused with the problem of submissions beyond their rate. Over AMQP they wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from contracts.errors import TooManySubmissions
from runtime.access.token_buckets import Allowance, TokenBuckets

_KIB: Final = 1024
_KIB_PER_MIB: Final = 1024
# In a minute, and at once: these parts of what the organisation may have in custody.
_PER_MINUTE: Final = 32
_AT_ONCE: Final = 8


class SealedRates:
    """A bucket of KiB for each organisation, in this process. Safe to share among greenlets."""

    def __init__(self, custody_mib: int, clock: Callable[[], float] = time.monotonic) -> None:
        """custody_mib: the MiB of cases that an organisation may have in custody."""
        kib = custody_mib * _KIB_PER_MIB
        self._buckets = TokenBuckets(
            Allowance(name="sealed", burst=kib // _AT_ONCE, per_minute=kib / _PER_MINUTE), clock
        )

    def take(self, organization: str, sizes: Sequence[int]) -> int:
        """Count the first submissions that fit, of these sizes in bytes; return their number."""
        left, fitting = self._buckets.remaining(organization).left, 0
        total = 0.0
        for size in sizes:
            if total + size / _KIB > left:
                break
            total += size / _KIB
            fitting += 1
        self._buckets.use(organization, total)
        return fitting

    def give_back(self, organization: str, size: int) -> None:
        """Give back the bytes of submissions that were counted and not admitted."""
        self._buckets.use(organization, -size / _KIB)

    def refusal(self, organization: str, size: int) -> TooManySubmissions:
        """Return the error of submissions beyond the rate. size: their bytes in all."""
        allowance = self._buckets.allowance
        return TooManySubmissions(
            f"Your organisation has submitted more than {allowance.burst // _KIB_PER_MIB} MiB of cases and"
            f" notes at once, or more than {allowance.per_minute / _KIB_PER_MIB:g} MiB a minute. Repeat after"
            " `retry_after` seconds.",
            retry_after=self._buckets.seconds_until(organization, -(-size // _KIB)),
        )
