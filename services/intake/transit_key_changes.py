"""Use of a new transit key of the vault, and the end of the earlier ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.facts import Fact, TransitKeyClosed, TransitKeyPublished
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from runtime.telemetry.trace import caused_by
from services.intake.ports import TransitKeys


class TransitKeyChanges:
    """The handler of `intake.transit_keys`."""

    def __init__(self, *, source: str, keys: TransitKeys, new_id: Callable[[], str]) -> None:
        self._source = source
        self._keys = keys
        self._new_id = new_id

    def receive(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Use the newest key; announce how many messages each earlier one has sealed (a `BatchHandler`)."""
        keys = {m.data.kid: m.data for m in messages if isinstance(m.data, TransitKeyPublished)}
        if not keys:
            return []
        cause = messages[-1]
        return [
            outgoing(
                Event(
                    id=self._new_id(),
                    source=self._source,
                    time=now,
                    partition_key=kid,
                    correlation_id=cause.correlation_id,
                    causation_id=cause.id,
                    traceparent=caused_by(cause.traceparent, self._source, cause.id),
                    data=TransitKeyClosed(kid=kid, messages=count),
                )
            )
            for kid, count in self._keys.adopt(transaction, keys.values())
        ]
