"""Mailboxes in delivery's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from heapq import merge
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, delete, func, select

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import MESSAGES
from services.delivery.domain.delivery import DeliveryState
from services.delivery.ports import Arrival, MailboxEntry, Waiting

# The key of an advisory lock; nothing else in this database uses it.
_APPENDING: Final = 7_203_115

_SERIALISE = SqlStatement("SELECT pg_advisory_xact_lock(?)")

_APPEND = SqlStatement(
    "INSERT INTO mailbox_messages"
    " (organization, message_id, type, referral_id, correlation_id, body, state, queued_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

_WAITING = SqlStatement(
    "SELECT sequence, type, state, body FROM mailbox_messages"
    " WHERE organization = ? AND acknowledged_at IS NULL AND sequence > ? ORDER BY sequence LIMIT ?"
)

# Rows are always locked in this order, so transactions cannot deadlock.
_TAKE = SqlStatement(
    "SELECT sequence, organization, message_id, type, referral_id, correlation_id, state"
    " FROM mailbox_messages"
    " WHERE sequence = ANY (?) OR (message_id = ANY (?) AND organization = ANY (?)) ORDER BY sequence",
    postgresql="FOR UPDATE",
)

_DELIVERED = SqlStatement(
    "UPDATE mailbox_messages SET state = ?, delivered_at = ? WHERE sequence = ANY (?)",
)

_ACKNOWLEDGED = SqlStatement(
    "UPDATE mailbox_messages SET state = ?, acknowledged_at = ? WHERE sequence = ANY (?)",
)

_NEWER = SqlStatement(
    "SELECT organization, max(sequence) FROM mailbox_messages WHERE sequence > ? GROUP BY organization"
)


class SqlMailboxes:
    """See `ports.Mailboxes`."""

    def serialise(self, transaction: Connection) -> None:
        """See `ports.Mailboxes`. SQLite has only one writer at a time."""
        if transaction.dialect.name == "postgresql":
            _SERIALISE.run(transaction, _APPENDING)

    def append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """See `ports.Mailboxes`."""
        queued_at = microseconds(now)
        _APPEND.run_for_each(
            transaction,
            [
                (
                    arrival.organization,
                    arrival.message_id,
                    arrival.type,
                    arrival.referral_id,
                    arrival.correlation_id,
                    arrival.body,
                    DeliveryState.queued.value,
                    queued_at,
                )
                for arrival in arrivals
            ],
        )

    def waiting(
        self, transaction: Connection, mailboxes: tuple[str, ...], *, after: int, limit: int, size: int
    ) -> tuple[list[Waiting], bool]:
        """See `ports.Mailboxes`."""
        found: list[Waiting] = []
        left = size
        with ExitStack() as streams:
            # Streamed, so that a mailbox full of notes is not loaded before the page is full. One row more
            # than the limit shows whether more follow.
            each = [
                streams.enter_context(_WAITING.run(transaction, mailbox, after, limit + 1, stream=True))
                for mailbox in mailboxes
            ]
            for sequence, message_type, state, body in merge(*each, key=itemgetter(0)):
                left -= len(body)
                if len(found) == limit or (found and left < 0):
                    return found, True
                found.append(
                    Waiting(
                        sequence=sequence, type=message_type, state=DeliveryState(state), body=bytes(body)
                    )
                )
        return found, False

    def take(
        self,
        transaction: Connection,
        *,
        sequences: Collection[int],
        organizations: Collection[str],
        message_ids: Collection[str],
    ) -> list[MailboxEntry]:
        """See `ports.Mailboxes`."""
        return [
            MailboxEntry(
                sequence=sequence,
                organization=organization,
                message_id=message_id,
                type=message_type,
                referral_id=referral_id,
                correlation_id=correlation_id,
                state=DeliveryState(state),
            )
            for (
                sequence,
                organization,
                message_id,
                message_type,
                referral_id,
                correlation_id,
                state,
            ) in _TAKE.run(transaction, list(sequences), list(message_ids), list(organizations))
        ]

    def put(
        self, transaction: Connection, state: DeliveryState, sequences: Collection[int], now: dt.datetime
    ) -> None:
        """See `ports.Mailboxes`."""
        write = {DeliveryState.delivered: _DELIVERED, DeliveryState.acknowledged: _ACKNOWLEDGED}[state]
        if sequences:
            write.run(transaction, state.value, microseconds(now), list(sequences))

    def newer_than(self, transaction: Connection, sequence: int | None) -> tuple[int, list[str]]:
        """See `ports.Mailboxes`."""
        if sequence is None:
            highest = select(func.coalesce(func.max(MESSAGES.c.sequence), 0))
            return int(transaction.execute(highest).scalar_one()), []
        rows = _NEWER.run(transaction, sequence).all()
        return max((highest for _, highest in rows), default=sequence), [name for name, _ in rows]

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.Mailboxes`."""
        oldest = select(MESSAGES.c.sequence).where(MESSAGES.c.acknowledged_at < before).limit(limit)
        return transaction.execute(delete(MESSAGES).where(MESSAGES.c.sequence.in_(oldest))).rowcount
