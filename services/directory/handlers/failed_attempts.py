"""Failed attempts to get a token: counted for each client, bounded, and put on record.

Valid credentials are never refused for the failures of others: only a failure beyond the bound is answered
with 429, so nobody can lock a client out by guessing. A secret of 256 bits cannot be guessed. The bound keeps
attempts from filling the logs, and the record shows the network that somebody tries.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from contracts.errors import RateLimited
from contracts.facts import AccessRefused
from services.directory.domain.client import Client
from services.directory.handlers.ledger import Ledger

MOST_PER_MINUTE: Final = 10
_RETRY_AFTER: Final = 60
# Hexadecimal: 4096 counters. Ids that share one get the other answer to a failure sooner, and nothing else.
_COUNTER_DIGITS: Final = 3


@dataclass(slots=True)
class _Failures:
    client: Client
    attempts: int
    since: dt.datetime
    until: dt.datetime


class FailedAttempts:
    """Counts failures in this process. Up to a minute of them is lost when the process is killed."""

    def __init__(self, ledger: Ledger, count: Callable[[], object]) -> None:
        """count: called at each failure, for a metric."""
        self._ledger = ledger
        self._count = count
        self._item = RateLimitItemPerMinute(MOST_PER_MINUTE)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._lock = threading.Lock()
        self._failures: dict[str, _Failures] = {}

    def add(self, client_id: str, client: Client | None) -> None:
        """Count a failure. client: None if there is no such client; only known ones are put on record.

        Raises RateLimited beyond MOST_PER_MINUTE for the id, known or not: the answers do not reveal which.
        """
        self._count()
        if client is not None:
            now = self._ledger.clock.now()
            with self._lock:
                known = self._failures.setdefault(
                    client.id, _Failures(client=client, attempts=0, since=now, until=now)
                )
                known.attempts += 1
                known.until = now
        # The id is the caller's text. A part of its digest bounds how many counters invented ids can make:
        # the limiter looks through all of them a hundred times a second.
        counter = sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()[:_COUNTER_DIGITS]
        if not self._limiter.hit(self._item, counter):
            raise RateLimited("Too many failed attempts for this client id.", retry_after=_RETRY_AFTER)

    def publish(self) -> None:
        """Put the failures since the last call on record, one fact for each client.

        Raises DatabaseUnavailable; then they are kept for the next call.
        """
        with self._lock:
            due, self._failures = self._failures, {}
        if not due:
            return
        try:
            with self._ledger.writing() as writing:
                for found in due.values():
                    writing.tell(
                        AccessRefused(
                            client_id=found.client.id,
                            principal=found.client.principal,
                            attempts=found.attempts,
                            since=found.since,
                            until=found.until,
                            organization=found.client.organization,
                        ),
                        key=found.client.id,
                    )
        except Exception:
            self._restore(due)
            raise

    def _restore(self, due: dict[str, _Failures]) -> None:
        with self._lock:
            for client_id, found in due.items():
                newer = self._failures.get(client_id)
                if newer is not None:
                    found.attempts += newer.attempts
                    found.until = newer.until
                self._failures[client_id] = found
