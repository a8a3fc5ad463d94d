"""Cover entries: entries about nothing, so that publications say less about the network.

Their leaves look like any other. Their heads, which only readers of the history see, have the type
`kopuro.log.cover.v1` and this service as actor; they name no referral and no organisation.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from contracts.envelope import Envelope
from contracts.errors import Defect
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.storage.database import Database
from services.audit.log.domain.cover_rate import CoverRate
from services.audit.log.domain.entry import COVER
from services.audit.log.domain.head import Head
from services.audit.log.handlers.sequencer import Sequencer
from services.audit.log.ports import Log

_PARTITION: Final = "cover"


class Cover:
    """Fills publications up (a `publisher.PublishingTimes`). Called by the publisher alone."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        sequencer: Sequencer,
        rate: CoverRate,
        source: str,
        clock: Clock,
    ) -> None:
        """source: of this service."""
        self._database = database
        self._log = log
        self._sequencer = sequencer
        self._rate = rate
        self._source = source
        self._clock = clock
        self._period: int | None = None
        self._filled: Head | None = None

    def next_head(self, published: int) -> Head | None:
        """Return the head to publish after `published` entries; None until the next period begins.

        A head whose publication failed is returned again, so that entries that came meanwhile wait for the
        next period. Raises Unavailable when another process has extended the log meanwhile.
        """
        period = self._rate.period(self._clock.now())
        if self._period is None:
            # After a start: the time of the start must not become a time of publication.
            self._period = period
        if self._filled is not None and self._filled.size <= published:
            # It was published, but the publisher failed before it could record that.
            self.was_published()
        if period == self._period:
            return None
        if self._filled is None:
            self._filled = self._fill(published)
        return self._filled

    def was_published(self) -> None:
        """Note that the head of `next_head` is public: the next one follows in the next period."""
        self._period = self._rate.period(self._clock.now())
        self._filled = None

    def _fill(self, published: int) -> Head:
        now = self._clock.now()
        with self._database.write() as transaction:
            waiting = self._head(self._log.head(transaction)).size - published
            missing = [self._entry(now) for _ in range(self._rate.missing(waiting))]
            self._sequencer.append(transaction, missing, now)
            return self._head(self._log.head(transaction))

    @staticmethod
    def _head(head: Head | None) -> Head:
        if head is None:
            raise Defect("The log is not initialized.")
        return head

    def _entry(self, now: dt.datetime) -> Envelope:
        number = new_id()
        return Envelope(
            id=number,
            source=self._source,
            type=COVER,
            time=now,
            partition_key=_PARTITION,
            correlation_id=number,
            causation_id=None,
            traceparent=None,
            data={},
            body=b"",
        )
