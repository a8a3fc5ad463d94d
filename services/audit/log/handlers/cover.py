"""Cover entries: entries about nothing, so that the log grows at a rate that says less about the network.

Their leaves look like any other. Their heads, which only readers of the history see, have the type
`kopuro.log.cover.v1` and this service as actor; they name no referral and no organisation.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

from contracts.envelope import Envelope
from contracts.errors import Defect
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.storage.database import Database
from services.audit.log.domain.entry import COVER
from services.audit.log.handlers.sequencer import Sequencer
from services.audit.log.ports import Log

_MINUTE: Final = dt.timedelta(minutes=1)


class Cover:
    """Appends what is missing to the rate. `turn` is called periodically, never concurrently.

    A turn appends only for the time since the last one, at most a minute. A crash loses that much cover.
    """

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        sequencer: Sequencer,
        works: Callable[[], bool],
        per_minute: int,
        source: str,
        clock: Clock,
    ) -> None:
        """works: whether this process appends cover; only one of several does. source: of this service."""
        self._database = database
        self._log = log
        self._sequencer = sequencer
        self._works = works
        self._per_minute = per_minute
        self._source = source
        self._clock = clock
        self._due = 0.0
        self._last: tuple[dt.datetime, int] | None = None

    def turn(self) -> int:
        """Append the missing entries; return how many. Raises Unavailable when another process appended."""
        if not self._per_minute or not self._works():
            self._last = None
            return 0
        now = self._clock.now()
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        if head is None:
            raise Defect("The log is not initialized.")
        before, self._last = self._last, (now, head.size)
        if before is None:
            return 0
        elapsed = min(max(now - before[0], dt.timedelta()), _MINUTE)
        appended = head.size - before[1]
        # Entries above the rate earn no pause: the minute after a burst is covered like any other.
        self._due = max(self._due + self._per_minute * (elapsed / _MINUTE) - appended, 0.0)
        missing = int(self._due)
        if missing:
            with self._database.write() as transaction:
                self._sequencer.append(transaction, [self._entry(now) for _ in range(missing)], now)
            self._due -= missing
            self._last = (now, head.size + missing)
        return missing

    def _entry(self, now: dt.datetime) -> Envelope:
        number = new_id()
        return Envelope(
            id=number,
            source=self._source,
            type=COVER,
            time=now,
            partition_key="cover",
            correlation_id=number,
            causation_id=None,
            traceparent=None,
            data={},
            body=b"",
        )
