"""The inbox: a message takes effect once, however often it is delivered.

The effect's transaction writes the inbox row. Crash points: *delivered, not committed*: the message is
redelivered and then takes effect; *committed, not yet acknowledged*: it is redelivered and recognised.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, Table, delete, select, tuple_

from contracts.jose import encoded
from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement

# How long a message is remembered: longer than any broker or federation link delays a message.
KEPT = dt.timedelta(days=30)
# A message that is older is refused: its row may have been deleted. The difference is for clocks, and for the
# time in which a message waits for its retries.
REMEMBERED = KEPT - dt.timedelta(days=1)
# The length of the column.
_LONGEST_KEY = 64

# Rows of earlier builds have the bare id. The queries can be removed when they have all been pruned.
_HAS_EARLIER = SqlStatement(
    "SELECT 1 FROM inbox WHERE consumer = ? AND replace(message_id, ' ', '') = message_id LIMIT 1"
)
_EARLIER = SqlStatement("SELECT message_id FROM inbox WHERE consumer = ? AND message_id = ANY (?)")
_ENTER = SqlStatement(
    "INSERT INTO inbox (consumer, message_id, received_at) SELECT ?, value, ? FROM EACH (?) WHERE TRUE"
    " ON CONFLICT DO NOTHING RETURNING message_id"
)


class EventIdentity(NamedTuple):
    """The identity of an event: its source and its id (CloudEvents 1.0, "id": unique for each source).

    The id alone would let one author take another author's id and so keep its event from taking effect.
    """

    source: str
    id: str

    @property
    def key(self) -> str:
        """Return a text of at most 64 characters that stands for the pair in tables: `<source> <id>`.

        A long or unusual pair has a digest of 43 characters instead.
        """
        # A source that a service has proved is `/<hub>/<service>`, without a space.
        text = f"{self.source} {self.id}"
        if len(text) <= _LONGEST_KEY and text.isascii() and text.isprintable():
            return text
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return encoded(digest)


class Deduplicator(Protocol):
    """Decides which messages may take effect.

    remembers: the age up to which it recognises a message; None: without a limit.
    """

    @property
    def remembers(self) -> dt.timedelta | None: ...

    def admit(
        self, transaction: Connection, consumer: str, messages: Sequence[EventIdentity], now: dt.datetime
    ) -> set[EventIdentity]:
        """Return the messages that may take effect: those of no committed transaction."""
        ...


class NoDeduplication:
    """A deduplicator that admits every message, for a handler that stores each message permanently.

    Such a handler recognises duplicates itself; an inbox would store the same messages again.
    """

    remembers: dt.timedelta | None = None

    def admit(
        self, transaction: Connection, consumer: str, messages: Sequence[EventIdentity], now: dt.datetime
    ) -> set[EventIdentity]:
        """See `Deduplicator`."""
        return set(messages)


class Inbox:
    """The messages that have taken effect, by consumer: the default `Deduplicator`.

    The column `message_id` has the `Identity.key` of each.
    """

    remembers: dt.timedelta | None = REMEMBERED

    def __init__(self, table: Table) -> None:
        self._table = table
        # The consumers without a row of an earlier build: only that build adds them, and it has ended.
        self._all_current = set[str]()

    def admit(
        self, transaction: Connection, consumer: str, messages: Sequence[EventIdentity], now: dt.datetime
    ) -> set[EventIdentity]:
        """Insert the messages and return the new ones: only these may take effect."""
        keys = {message.key: message for message in messages}
        if not keys:
            return set()
        if earlier := self._of_earlier_builds(transaction, consumer, messages):
            keys = {key: message for key, message in keys.items() if message.id not in earlier}
        entered = _ENTER.run(transaction, consumer, microseconds(now), list(keys))
        return {keys[key] for key in entered.scalars()}

    def _of_earlier_builds(
        self, transaction: Connection, consumer: str, messages: Sequence[EventIdentity]
    ) -> set[str]:
        """Return the ids of those that an earlier build has processed."""
        if consumer in self._all_current:
            return set()
        if _HAS_EARLIER.run(transaction, consumer).first() is None:
            self._all_current.add(consumer)
            return set()
        ids = list({message.id for message in messages})
        return set(_EARLIER.run(transaction, consumer, ids).scalars())

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """Delete up to `limit` rows received before the moment; return how many."""
        key = (self._table.c.consumer, self._table.c.message_id)
        old = select(*key).where(self._table.c.received_at < moment).limit(limit)
        return transaction.execute(delete(self._table).where(tuple_(*key).in_(old))).rowcount
