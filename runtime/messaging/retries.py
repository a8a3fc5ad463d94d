"""Retries: rows of messages that cannot be processed yet, each with the time of its next attempt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from runtime.messaging.dead_letters.dead_letter import FIRST_SEEN
from runtime.messaging.headers import SIGNED
from runtime.messaging.ports import Delivery
from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement

FIRST_DELAY = dt.timedelta(seconds=1)
LONGEST_DELAY = dt.timedelta(minutes=10)
# With doubling delays, about an hour; then an operator should look at the message.
MOST_ATTEMPTS = 14

_CONSUMERS_DUE = SqlStatement(
    "SELECT value FROM EACH (?) WHERE EXISTS (SELECT 1 FROM retries WHERE consumer = value AND due_at <= ?)"
)

_ARE_WAITING = SqlStatement("SELECT EXISTS (SELECT 1 FROM retries)")


def delay_after(attempts: int) -> dt.timedelta:
    """Return the delay after `attempts` attempts (1 or more): doubles, up to LONGEST_DELAY."""
    return min(FIRST_DELAY * (1 << (attempts - 1)), LONGEST_DELAY)


def consumers_due(transaction: Connection, consumers: Sequence[str], now: dt.datetime) -> set[str]:
    """Return those of the consumers for which a message is due: one query for all of them."""
    return set(_CONSUMERS_DUE.run(transaction, list(consumers), microseconds(now)).scalars())


def are_waiting(transaction: Connection) -> bool:
    """Return whether any consumer's message waits for another attempt."""
    return bool(_ARE_WAITING.run(transaction).scalar_one())


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """A message that is due again, after `attempts` attempts."""

    delivery: Delivery
    attempts: int


class Retries:
    """The messages of one consumer that wait for another attempt."""

    def __init__(self, table: Table, consumer: str) -> None:
        self._table = table
        self._consumer = consumer

    def postpone(
        self, transaction: Connection, delivery: Delivery, *, attempts: int, reason: str, now: dt.datetime
    ) -> None:
        """Store the message until its next attempt; `attempts` includes the one that just failed."""
        insert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        due = {"attempts": attempts, "due_at": now + delay_after(attempts), "reason": reason[:500]}
        statement = insert(self._table).values(
            consumer=self._consumer,
            message_id=delivery.message_id,
            queue=delivery.queue,
            routing_key=delivery.routing_key,
            body=delivery.body,
            signed=delivery.headers.get(SIGNED, ""),
            first_seen=now,
            **due,
        )
        key = [self._table.c.consumer, self._table.c.message_id]
        transaction.execute(statement.on_conflict_do_update(index_elements=key, set_=due))

    def due(self, transaction: Connection, now: dt.datetime, limit: int) -> list[Retry]:
        """Return the messages that are due, earliest first."""
        table = self._table
        rows = transaction.execute(
            select(table)
            .where(table.c.consumer == self._consumer, table.c.due_at <= now)
            .order_by(table.c.due_at)
            .limit(limit)
        )
        return [
            Retry(
                attempts=row.attempts,
                delivery=Delivery(
                    tag=0,
                    queue=row.queue,
                    routing_key=row.routing_key,
                    message_id=row.message_id,
                    body=row.body,
                    headers={FIRST_SEEN: row.first_seen.isoformat(), SIGNED: row.signed},
                    redelivered=True,
                ),
            )
            for row in rows
        ]

    def settle(self, transaction: Connection, message_id: str) -> None:
        """Delete a message that has taken effect or was dead-lettered."""
        table = self._table
        transaction.execute(
            delete(table).where(table.c.consumer == self._consumer, table.c.message_id == message_id)
        )
