"""The outbox: messages written in the transaction that causes them.

The crash points of publishing a message, in order:

1. *decided, not committed*: nothing happened; the causing message is redelivered.
2. *committed, not yet published*: the row exists; the relay publishes it after the restart.
3. *published, not yet confirmed*: published again; the consumers' inboxes recognise its id.
4. *confirmed, row not yet deleted*: published again; as in 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson
from sqlalchemy import Connection, Table, func, select

from contracts.envelope import Event
from contracts.facts import Fact
from contracts.topology import (
    DEAD_LETTER_SUFFIX,
    DEAD_LETTERS,
    DIRECT,
    MAILBOXES,
    RECEIPTS,
    REPLICA_QUEUES,
    SNAPSHOTS,
)
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.ports import Outgoing
from runtime.storage.sql_statement import SqlStatement
from runtime.telemetry import trace

# The size limit of a wave's message bodies; a single message may be larger.
WAVE_BYTES = 16 * 1024 * 1024

_ADD = SqlStatement(
    "INSERT INTO outbox (message_id, exchange, routing_key, partition_key, headers, body)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_OLDEST = SqlStatement(
    "SELECT number, exchange, routing_key, message_id, partition_key, headers, body"
    " FROM outbox ORDER BY number LIMIT ?"
)
_FIRST = SqlStatement("SELECT number FROM outbox ORDER BY number LIMIT ?")
_BODY = SqlStatement("SELECT body FROM outbox WHERE number = ?")
_FORGET = SqlStatement("DELETE FROM outbox WHERE number = ANY (?)")


def _exchange_for(queue: str) -> str:
    # Earlier builds sent these messages through the default exchange, to which no service may write now.
    if queue.endswith(DEAD_LETTER_SUFFIX):
        return DEAD_LETTERS
    return {**dict.fromkeys(REPLICA_QUEUES, SNAPSHOTS), MAILBOXES: RECEIPTS}.get(queue, DIRECT)


def outgoing(event: Event[Fact]) -> Outgoing:
    """Return the message that carries an event; one without a traceparent continues the current request's."""
    here = trace.current() if event.traceparent is None else None
    return Outgoing(
        exchange=event.data.exchange,
        routing_key=event.data.routing_key,
        message_id=event.id,
        partition_key=event.partition_key,
        body=event.encode(traceparent=None if here is None else str(here)),
    )


class Outbox:
    """The messages waiting to be published, ordered by row number."""

    def __init__(self, table: Table) -> None:
        self._count = select(func.count()).select_from(table)

    def add(self, transaction: Connection, messages: Iterable[Outgoing]) -> None:
        """Write messages in the transaction that caused them, as event batches."""
        _ADD.run_for_each(
            transaction,
            [
                (
                    message.message_id,
                    message.exchange,
                    message.routing_key,
                    message.partition_key,
                    orjson.dumps(dict(message.headers)).decode(),
                    message.body,
                )
                for message in encode_batch(messages)
            ],
        )

    def oldest(
        self, transaction: Connection, limit: int, most_bytes: int = WAVE_BYTES
    ) -> list[tuple[int, Outgoing]]:
        """Return the oldest messages with their row numbers: up to `limit`, or until the bodies reach
        `most_bytes` in total."""
        found: list[tuple[int, Outgoing]] = []
        size = 0
        # Streamed, so that a wave of sealed cases is never in memory beyond the size limit.
        with _OLDEST.run(transaction, limit, stream=True) as rows:
            for number, exchange, routing_key, message_id, partition_key, headers, body in rows:
                message = Outgoing(
                    exchange=exchange or _exchange_for(routing_key),
                    routing_key=routing_key,
                    message_id=message_id,
                    partition_key=partition_key,
                    body=bytes(body),
                    headers=orjson.loads(headers),
                )
                found.append((number, message))
                size += len(body)
                if size >= most_bytes:
                    break
        return found

    def first(self, transaction: Connection) -> int | None:
        """Return the row number of the oldest message, None when none waits."""
        return next((number for (number,) in _FIRST.run(transaction, 1)), None)

    def body(self, transaction: Connection, number: int) -> bytes | None:
        """Return the body of a message, None when its row is gone."""
        return next((bytes(body) for (body,) in _BODY.run(transaction, number)), None)

    def forget(self, transaction: Connection, numbers: Sequence[int]) -> None:
        """Delete the rows of confirmed messages."""
        _FORGET.run(transaction, list(numbers))

    def depth(self, transaction: Connection) -> int:
        """Return the number of waiting messages; a batch counts as one."""
        return transaction.execute(self._count).scalar_one()
