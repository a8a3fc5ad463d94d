"""How many applications one address may send in a minute and in a day, and how often it may ask for their
state in a minute.

Nobody has a token here, so the address is all that is known of a sender. Behind a proxy that the settings do
not name (`KOPURO_PROXIES`) it is the proxy's. Counted in this process's memory; no address is stored or
written anywhere.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from contracts.errors import RateLimited

APPLICATIONS_PER_MINUTE: Final = 10
STATUS_REQUESTS_PER_MINUTE: Final = 60
# The part of the limit of applications that one address may use up in a day. If there were only the rate of a
# minute, one address would use it up within minutes.
DAILY_PART: Final = 10
_RETRY_AFTER: Final = 60
_RETRY_AFTER_DAYS_BOUND: Final = 3600
# Hexadecimal: 4096 counters, however many addresses a flood comes from.
_COUNTER_DIGITS: Final = 3


class ApplicationRates:
    """Counts before anything is parsed or read from the database."""

    def __init__(self, most_waiting: int) -> None:
        """most_waiting: as of `Applications`. An address has a part of it in a day, or a minute's if more."""
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        # Nobody outside can choose addresses that share another one's counter.
        self._key = secrets.token_bytes(16)
        self._applications = RateLimitItemPerMinute(APPLICATIONS_PER_MINUTE)
        self._daily = RateLimitItemPerDay(max(APPLICATIONS_PER_MINUTE, most_waiting // DAILY_PART))
        self._status_requests = RateLimitItemPerMinute(STATUS_REQUESTS_PER_MINUTE)

    def take_application(self, origin: str) -> None:
        """Count an application. origin: the sender's address or network. Raises RateLimited."""
        self._take(self._applications, "application", origin)
        self._take(self._daily, "application of the day", origin, retry_after=_RETRY_AFTER_DAYS_BOUND)

    def take_status_request(self, origin: str) -> None:
        """Count a request for the state of an application, or to withdraw it. Raises RateLimited."""
        self._take(self._status_requests, "status request", origin)

    def _take(self, item: RateLimitItem, kind: str, origin: str, *, retry_after: int = _RETRY_AFTER) -> None:
        counter = sha256(self._key + origin.encode()).hexdigest()[:_COUNTER_DIGITS]
        if not self._limiter.hit(item, kind, counter):
            raise RateLimited("Too many requests without a token from your address.", retry_after=retry_after)
