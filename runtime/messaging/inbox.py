"""The inbox: a message takes effect once, however often it is delivered.

The effect's transaction writes the inbox row. Crash points: *delivered, not committed*: the message is
redelivered and then takes effect; *committed, not yet acknowledged*: it is redelivered and recognised.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Table, delete, select, tuple_

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement

# How long a message id is kept: longer than any broker or federation link delays a message.
KEPT = dt.timedelta(days=30)

_ENTER = SqlStatement(
    "INSERT INTO inbox (consumer, message_id, received_at) SELECT ?, value, ? FROM EACH (?) WHERE TRUE"
    " ON CONFLICT DO NOTHING RETURNING message_id"
)


class Deduplicator(Protocol):
    """Decides which messages may take effect."""

    def admit(
        self, transaction: Connection, consumer: str, message_ids: Sequence[str], now: dt.datetime
    ) -> set[str]:
        """Return the ids that may take effect: those of no committed transaction."""
        ...


class NoDeduplication:
    """A deduplicator that admits every message, for a handler that stores each message by its id permanently.

    Such a handler recognises duplicates itself; an inbox would store the same ids again.
    """

    def admit(
        self, transaction: Connection, consumer: str, message_ids: Sequence[str], now: dt.datetime
    ) -> set[str]:
        """See `Deduplicator`."""
        return set(message_ids)


class Inbox:
    """The ids of the messages that have taken effect, by consumer: the default `Deduplicator`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def admit(
        self, transaction: Connection, consumer: str, message_ids: Sequence[str], now: dt.datetime
    ) -> set[str]:
        """Insert the ids and return the new ones: only these may take effect."""
        unique = list(dict.fromkeys(message_ids))
        if not unique:
            return set()
        entered = _ENTER.run(transaction, consumer, microseconds(now), unique)
        return set(entered.scalars())

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """Delete up to `limit` rows received before the moment; return how many."""
        key = (self._table.c.consumer, self._table.c.message_id)
        old = select(*key).where(self._table.c.received_at < moment).limit(limit)
        return transaction.execute(delete(self._table).where(tuple_(*key).in_(old))).rowcount
