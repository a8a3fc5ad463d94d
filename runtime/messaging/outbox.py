"""The outbox: what a transaction caused, written in that same transaction.

The crash points of a message's way out, in order:

1. *decided, not committed*: nothing happened; the cause comes again.
2. *committed, not yet published*: the row is here; the relay publishes it after the restart.
3. *published, not yet confirmed*: published again; the consumers' inboxes know it by its id.
4. *confirmed, row not yet deleted*: published again; the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Table, delete, func, insert, select

from contracts.envelope import Event
from contracts.facts import Fact
from runtime.messaging.parcels import pack
from runtime.messaging.ports import Outgoing

# What a wave may hold of message bodies; one message may be larger.
WAVE_BYTES = 16 * 1024 * 1024


def outgoing(event: Event[Fact]) -> Outgoing:
    """The message that carries an event."""
    return Outgoing(
        exchange=event.data.exchange,
        routing_key=event.data.routing_key,
        message_id=event.id,
        partition_key=event.partition_key,
        body=event.encode(),
    )


class Outbox:
    """The rows waiting to be published, in the order of their numbers."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, transaction: Connection, messages: Iterable[Outgoing]) -> None:
        """Writes messages into the transaction that caused them, packed into parcels."""
        rows = [
            {
                "message_id": message.message_id,
                "exchange": message.exchange,
                "routing_key": message.routing_key,
                "partition_key": message.partition_key,
                "headers": dict(message.headers),
                "body": message.body,
            }
            for message in pack(messages)
        ]
        if rows:
            transaction.execute(insert(self._table), rows)

    def oldest(
        self, transaction: Connection, limit: int, most_bytes: int = WAVE_BYTES
    ) -> list[tuple[int, Outgoing]]:
        """The oldest messages with their row numbers: up to `limit`, or until their bodies together
        reach `most_bytes`."""
        statement = select(self._table).order_by(self._table.c.number).limit(limit)
        found: list[tuple[int, Outgoing]] = []
        size = 0
        # Streamed: a wave of sealed cases is not all in memory before it is found to be too large.
        with transaction.execute(statement, execution_options={"stream_results": True}) as rows:
            for row in rows:
                message = Outgoing(
                    exchange=row.exchange,
                    routing_key=row.routing_key,
                    message_id=row.message_id,
                    partition_key=row.partition_key,
                    body=row.body,
                    headers=row.headers,
                )
                found.append((row.number, message))
                size += len(row.body)
                if size >= most_bytes:
                    break
        return found

    def forget(self, transaction: Connection, numbers: Sequence[int]) -> None:
        """Deletes rows that the broker has confirmed."""
        if numbers:
            transaction.execute(delete(self._table).where(self._table.c.number.in_(numbers)))

    def depth(self, transaction: Connection) -> int:
        """How many messages wait; a parcel is one."""
        return transaction.execute(select(func.count()).select_from(self._table)).scalar_one()
