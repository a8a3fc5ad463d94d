"""Named consumers in delivery's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import orjson
from sqlalchemy import Connection

from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from runtime.turn import Turn
from services.delivery.adapters.mailboxes import LAST, end_of_window
from services.delivery.domain.consumer import NamedConsumer, position_after
from services.delivery.domain.selection import types_of

_ALL_OF = SqlStatement(
    "SELECT organization, name, position, types, contract, created_at FROM mailbox_consumers"
    " WHERE organization = ANY (?) ORDER BY organization, name"
)

_ONE = (
    "SELECT organization, name, position, types, contract, created_at FROM mailbox_consumers"
    " WHERE organization = ? AND name = ?"
)
_READ = SqlStatement(_ONE)
_LOCK = SqlStatement(_ONE, postgresql="FOR UPDATE")

_PUT = SqlStatement(
    "INSERT INTO mailbox_consumers (organization, name, position, types, contract, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (organization, name)"
    " DO UPDATE SET position = excluded.position, types = excluded.types, contract = excluded.contract"
)

_REMOVE = SqlStatement("DELETE FROM mailbox_consumers WHERE organization = ? AND name = ?")

_MOVE = SqlStatement("UPDATE mailbox_consumers SET position = ? WHERE organization = ? AND name = ?")

_ACKNOWLEDGE = SqlStatement(
    "INSERT INTO consumer_acknowledgements (organization, consumer, sequence) VALUES (?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)

_PASS = SqlStatement(
    "DELETE FROM consumer_acknowledgements WHERE organization = ? AND consumer = ? AND sequence <= ?"
)

_CLEAR = SqlStatement("DELETE FROM consumer_acknowledgements WHERE organization = ? AND consumer = ?")

_ACKNOWLEDGED = SqlStatement(
    "SELECT organization, consumer, sequence FROM consumer_acknowledgements WHERE sequence = ANY (?)"
)

_NEEDED = (
    "SELECT sequence, queued_at FROM mailbox_messages WHERE organization = ?"
    " AND sequence > ? AND sequence <= ?"
    " AND NOT EXISTS (SELECT 1 FROM consumer_acknowledgements AS done WHERE done.consumer = ?"
    " AND done.organization = mailbox_messages.organization AND done.sequence = mailbox_messages.sequence)"
)
_FIRST_NEEDED = SqlStatement(_NEEDED + " ORDER BY sequence LIMIT 1")
_FIRST_NEEDED_OF_TYPES = SqlStatement(_NEEDED + " AND type = ANY (?) ORDER BY sequence LIMIT 1")

_NEWEST = SqlStatement(
    "SELECT sequence FROM mailbox_messages WHERE organization = ? ORDER BY sequence DESC LIMIT 1"
)


class SqlConsumers:
    """See `ports.Consumers`."""

    def all_of(self, transaction: Connection, organizations: Collection[str]) -> list[NamedConsumer]:
        """See `ports.Consumers`."""
        return [_consumer(*row) for row in _ALL_OF.run(transaction, sorted(organizations))]

    def one(
        self, transaction: Connection, organization: str, name: str, *, lock: bool = False
    ) -> NamedConsumer | None:
        """See `ports.Consumers`. SQLite has only one writer at a time."""
        row = (_LOCK if lock else _READ).run(transaction, organization, name).first()
        return None if row is None else _consumer(*row)

    def put(self, transaction: Connection, consumer: NamedConsumer) -> None:
        """See `ports.Consumers`."""
        _PUT.run(
            transaction,
            consumer.organization,
            consumer.name,
            consumer.position,
            orjson.dumps(consumer.types).decode(),
            consumer.contract,
            microseconds(consumer.created_at),
        )

    def remove(self, transaction: Connection, organization: str, name: str) -> bool:
        """See `ports.Consumers`."""
        _CLEAR.run(transaction, organization, name)
        return bool(_REMOVE.run(transaction, organization, name).rowcount)

    def restart(self, transaction: Connection, consumer: NamedConsumer, position: int) -> None:
        """See `ports.Consumers`."""
        _CLEAR.run(transaction, consumer.organization, consumer.name)
        _MOVE.run(transaction, position, consumer.organization, consumer.name)

    def acknowledge(
        self, transaction: Connection, consumer: NamedConsumer, sequences: Collection[int]
    ) -> None:
        """See `ports.Consumers`."""
        above = sorted(sequence for sequence in sequences if sequence > consumer.position)
        if not above:
            return
        owner = (consumer.organization, consumer.name)
        # Read before the first needed message is looked for: a message that arrives in between is above it.
        newest = _NEWEST.run(transaction, consumer.organization).scalar_one_or_none() or 0
        _ACKNOWLEDGE.run_for_each(transaction, [(*owner, sequence) for sequence in above])
        needed = self._first_needed(transaction, consumer)
        first = None if needed is None else needed[0]
        position = position_after(consumer.position, above, first_needed=first, newest=newest)
        if position > consumer.position:
            _MOVE.run(transaction, position, *owner)
            _PASS.run(transaction, *owner, position)

    def acknowledged(
        self, transaction: Connection, sequences: Collection[int]
    ) -> Collection[tuple[str, str, int]]:
        """See `ports.Consumers`."""
        rows = _ACKNOWLEDGED.run(transaction, sorted(sequences))
        return {(organization, consumer, sequence) for organization, consumer, sequence in rows}

    def waiting_since(self, transaction: Connection, consumer: NamedConsumer) -> dt.datetime | None:
        """See `ports.Consumers`."""
        needed = self._first_needed(transaction, consumer)
        return None if needed is None else moment_of(needed[1])

    def _first_needed(self, transaction: Connection, consumer: NamedConsumer) -> tuple[int, int] | None:
        """Return the sequence and time of the first message that the consumer needs.

        Other requests run between two windows of messages.
        """
        after, turn = consumer.position, Turn()
        types = [sorted(types_of(consumer.types))] if consumer.types else []
        statement = _FIRST_NEEDED_OF_TYPES if types else _FIRST_NEEDED
        while True:
            end = end_of_window(transaction, consumer.organization, after)
            until = LAST if end is None else end
            row = statement.run(
                transaction, consumer.organization, after, until, consumer.name, *types
            ).first()
            if row is not None:
                return row[0], row[1]
            if end is None:
                return None
            after = end
            turn.end_if_over()


def _consumer(
    organization: str, name: str, position: int, types: str, contract: str, created_at: Any
) -> NamedConsumer:
    return NamedConsumer(
        organization=organization,
        name=name,
        position=position,
        types=tuple(orjson.loads(types)),
        contract=contract,
        created_at=moment_of(created_at),
    )
