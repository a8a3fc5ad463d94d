"""The inbox: a message takes effect once, however often it is delivered.

Its row is written in the transaction of the effect. Crash points: *delivered, not committed*: it comes
again and takes effect then; *committed, not yet acknowledged*: it comes again and is known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Table, delete, select, tuple_

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement

# How long a message is remembered: longer than any broker or federation link holds one back.
KEPT = dt.timedelta(days=30)

_ENTER = SqlStatement(
    "INSERT INTO inbox (consumer, message_id, received_at) SELECT ?, value, ? FROM EACH (?) WHERE TRUE"
    " ON CONFLICT DO NOTHING RETURNING message_id"
)


class Deduplicator(Protocol):
    """Says which messages may take effect."""

    def admit(
        self, transaction: Connection, consumer: str, message_ids: Sequence[str], now: dt.datetime
    ) -> set[str]:
        """The ids that the transaction may give effect to: those that no committed one has."""
        ...


class NoDeduplication:
    """A doorkeeper that lets everything in: for a handler that keeps what it is told under the message's
    id, for ever, and so knows duplicates itself. A second record of the same ids would be waste."""

    def admit(
        self, transaction: Connection, consumer: str, message_ids: Sequence[str], now: dt.datetime
    ) -> set[str]:
        """See `Deduplicator`."""
        return set(message_ids)


class Inbox:
    """Which messages have taken effect, by consumer: the ordinary `Deduplicator`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def admit(
        self, transaction: Connection, consumer: str, message_ids: Sequence[str], now: dt.datetime
    ) -> set[str]:
        """Enters the ids, and returns those that were not known: only these may take effect."""
        unique = list(dict.fromkeys(message_ids))
        if not unique:
            return set()
        entered = _ENTER.run(transaction, consumer, microseconds(now), unique)
        return set(entered.scalars())

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """Deletes what was received before the moment, at most so many rows; returns how many."""
        key = (self._table.c.consumer, self._table.c.message_id)
        old = select(*key).where(self._table.c.received_at < moment).limit(limit)
        return transaction.execute(delete(self._table).where(tuple_(*key).in_(old))).rowcount
