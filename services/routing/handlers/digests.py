"""Writes the coordinators' digest, once for each period."""

from __future__ import annotations

from collections.abc import Callable

from contracts.envelope import Event
from contracts.facts import CoordinationDigest
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database
from services.routing.domain.coordination_queue import QueueKind
from services.routing.domain.digest import DigestPeriod, digest, period_of
from services.routing.ports import Digests

# The partition of all digests: they are about no referral.
PARTITION = "coordination"


class WriteDigests:
    """The use case of a timer of each process. The first to record a period writes its digest."""

    def __init__(
        self,
        *,
        every: DigestPeriod | None,
        database: Database,
        digests: Digests,
        outbox: Outbox,
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        """every: None for no digests."""
        self._every = every
        self._database = database
        self._digests = digests
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._after_commit = after_commit

    def turn(self) -> CoordinationDigest | None:
        """Write the digest that is due; return it, or None if there is none. Raises DatabaseUnavailable.

        Digest and record are one transaction: a crash before it loses nothing, and none is written twice.
        A digest that was due while the service was down is written when it starts, with the figures of that
        moment. Digests of earlier periods are not written any more.
        """
        if self._every is None:
            return None
        now = self._clock.now()
        period = period_of(self._every, now)
        with self._database.read() as transaction:
            if self._digests.is_written(transaction, period):
                return None
            waiting = {kind: self._digests.waiting(transaction, kind, now) for kind in QueueKind}
        written = digest(period, waiting, now)
        event: Event[CoordinationDigest] = Event(
            id=new_id(),
            source=self._source,
            time=now,
            partition_key=PARTITION,
            correlation_id=new_id(),
            causation_id=None,
            data=written,
        )
        with self._database.write() as transaction:
            if not self._digests.record(transaction, period, now):
                return None
            self._outbox.add(transaction, [outgoing(event)])
        self._after_commit()
        return written
