"""Mailboxes in delivery's own database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from services.delivery.adapters.tables import MESSAGES
from services.delivery.domain.delivery import State
from services.delivery.ports import Arrival, Entry

# Any number that nothing else in this database uses for an advisory lock.
_APPENDING = 7_203_115

_ENTRY = (
    MESSAGES.c.sequence,
    MESSAGES.c.organization,
    MESSAGES.c.message_id,
    MESSAGES.c.type,
    MESSAGES.c.referral_id,
    MESSAGES.c.correlation_id,
    MESSAGES.c.state,
)


class SqlMailboxes:
    """See `ports.Mailboxes`."""

    def serialise(self, transaction: Connection) -> None:
        """See `ports.Mailboxes`. SQLite has one writer at a time anyway."""
        if transaction.dialect.name == "postgresql":
            transaction.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPENDING})

    def append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """See `ports.Mailboxes`."""
        insert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        rows = [
            {
                "organization": arrival.organization,
                "message_id": arrival.message_id,
                "type": arrival.type,
                "referral_id": arrival.referral_id,
                "correlation_id": arrival.correlation_id,
                "body": arrival.body,
                "state": State.queued.value,
                "queued_at": now,
            }
            for arrival in arrivals
        ]
        if rows:
            transaction.execute(insert(MESSAGES).on_conflict_do_nothing(), rows)

    def waiting(
        self, transaction: Connection, organization: str, *, after: int, limit: int, size: int
    ) -> list[Entry]:
        """See `ports.Mailboxes`."""
        oldest: Select[Any] = (
            select(*_ENTRY, func.length(MESSAGES.c.body).label("size"))
            .where(
                MESSAGES.c.organization == organization,
                MESSAGES.c.acknowledged_at.is_(None),
                MESSAGES.c.sequence > after,
            )
            .order_by(MESSAGES.c.sequence)
            .limit(limit)
        )
        entries: list[Entry] = []
        left = size
        for row in transaction.execute(oldest).all():
            left -= row.size
            if entries and left < 0:
                break
            entries.append(_entry(row))
        return entries

    def bodies(self, transaction: Connection, sequences: Collection[int]) -> dict[int, bytes]:
        """See `ports.Mailboxes`."""
        rows = transaction.execute(
            select(MESSAGES.c.sequence, MESSAGES.c.body).where(MESSAGES.c.sequence.in_(sequences))
        )
        return {row.sequence: bytes(row.body) for row in rows}

    def take(self, transaction: Connection, sequences: Collection[int]) -> list[Entry]:
        """See `ports.Mailboxes`."""
        return _locked(transaction, select(*_ENTRY).where(MESSAGES.c.sequence.in_(sequences)))

    def find(self, transaction: Connection, message_ids: Collection[str]) -> list[Entry]:
        """See `ports.Mailboxes`."""
        return _locked(transaction, select(*_ENTRY).where(MESSAGES.c.message_id.in_(message_ids)))

    def put(self, transaction: Connection, states: Mapping[int, State], now: dt.datetime) -> None:
        """See `ports.Mailboxes`."""
        for state, moment in (
            (State.delivered, MESSAGES.c.delivered_at),
            (State.acknowledged, MESSAGES.c.acknowledged_at),
        ):
            sequences = [sequence for sequence, new in states.items() if new is state]
            if sequences:
                transaction.execute(
                    update(MESSAGES)
                    .where(MESSAGES.c.sequence.in_(sequences))
                    .values({MESSAGES.c.state: state.value, moment: now})
                )

    def newer_than(self, transaction: Connection, sequence: int | None) -> tuple[int, list[str]]:
        """See `ports.Mailboxes`."""
        if sequence is None:
            highest = select(func.coalesce(func.max(MESSAGES.c.sequence), 0))
            return int(transaction.execute(highest).scalar_one()), []
        rows = transaction.execute(
            select(MESSAGES.c.organization, func.max(MESSAGES.c.sequence).label("highest"))
            .where(MESSAGES.c.sequence > sequence)
            .group_by(MESSAGES.c.organization)
        ).all()
        return max((row.highest for row in rows), default=sequence), [row.organization for row in rows]

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.Mailboxes`."""
        oldest = select(MESSAGES.c.sequence).where(MESSAGES.c.acknowledged_at < before).limit(limit)
        return transaction.execute(delete(MESSAGES).where(MESSAGES.c.sequence.in_(oldest))).rowcount


def _locked(transaction: Connection, query: Select[Any]) -> list[Entry]:
    # In one order everywhere: two transactions that meet at some rows wait, and never for each other.
    rows = transaction.execute(query.order_by(MESSAGES.c.sequence).with_for_update())
    return [_entry(row) for row in rows]


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        sequence=row.sequence,
        organization=row.organization,
        message_id=row.message_id,
        type=row.type,
        referral_id=row.referral_id,
        correlation_id=row.correlation_id,
        state=State(row.state),
    )
