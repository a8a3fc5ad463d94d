"""Access records: facts about reads and exports, which become log entries like all other facts."""

from __future__ import annotations

from collections.abc import Callable

from contracts.envelope import Event
from contracts.facts import Fact
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database


class AccessRecorder:
    """Records accesses. source: the CloudEvents source of this service. after_commit: wakes the relay."""

    def __init__(
        self,
        *,
        database: Database,
        outbox: Outbox,
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._after_commit = after_commit

    def record(self, fact: Fact, partition_key: str) -> None:
        """Commit the fact to the outbox.

        Callers record before they respond: a crash in between records a read whose result nobody received.
        """
        number = new_id()
        event = Event(
            id=number,
            source=self._source,
            time=self._clock.now(),
            partition_key=partition_key,
            correlation_id=number,
            causation_id=None,
            data=fact,
        )
        with self._database.write() as transaction:
            self._outbox.add(transaction, [outgoing(event)])
        self._after_commit()
