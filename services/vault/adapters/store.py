"""Custodies and sealed cases in the vault's own database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, event, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.vault.adapters.tables import CUSTODIES, SEALED_CASES, WAITING
from services.vault.domain.custody import Acceptance, Custody, State
from services.vault.domain.sealed import SealedCase

# A moment before any change, for rows that nothing has happened to yet.
_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class SqlCustodyStore:
    """See `ports.CustodyStore`. SQLite has one writer anyway; PostgreSQL locks the rows."""

    def take(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Custody]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return {}
        # In one order everywhere: two transactions that meet at some rows wait, and never for each other.
        ids = sorted(set(referral_ids))
        insert_new = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        transaction.execute(
            insert_new(CUSTODIES)
            .values([{"referral_id": i, "state": State.awaited.value, "changed_at": _NEVER} for i in ids])
            .on_conflict_do_nothing()
        )
        rows = transaction.execute(
            select(CUSTODIES)
            .where(CUSTODIES.c.referral_id.in_(ids))
            .order_by(CUSTODIES.c.referral_id)
            .with_for_update()
        )
        return {row.referral_id: _custody(row) for row in rows}

    def awaited_acceptors(self, transaction: Connection) -> list[str]:
        """See `ports.CustodyStore`."""
        acceptors = select(CUSTODIES.c.acceptor).where(WAITING).distinct().order_by(CUSTODIES.c.acceptor)
        return list(transaction.execute(acceptors).scalars())

    def waiting_for(self, transaction: Connection, acceptor: str, limit: int) -> list[Custody]:
        """See `ports.CustodyStore`."""
        rows = transaction.execute(
            select(CUSTODIES)
            .where(WAITING, CUSTODIES.c.acceptor == acceptor)
            .order_by(CUSTODIES.c.referral_id)
            .limit(limit)
            .with_for_update()
        )
        return [_custody(row) for row in rows]

    def put(self, transaction: Connection, custodies: Iterable[Custody], now: dt.datetime) -> None:
        """See `ports.CustodyStore`."""
        rows = [_values(custody, now) for custody in custodies]
        if rows:
            statement = update(CUSTODIES).where(CUSTODIES.c.referral_id == bindparam("of_referral"))
            transaction.execute(statement, rows)

    def keep(self, transaction: Connection, cases: Mapping[str, SealedCase]) -> None:
        """See `ports.CustodyStore`."""
        rows = [
            {"referral_id": i, "wrapped_key": case.wrapped_key, "ciphertext": case.ciphertext}
            for i, case in cases.items()
        ]
        if rows:
            transaction.execute(insert(SEALED_CASES), rows)

    def sealed(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, SealedCase]:
        """See `ports.CustodyStore`."""
        if not referral_ids:
            return {}
        rows = transaction.execute(
            select(SEALED_CASES).where(SEALED_CASES.c.referral_id.in_(sorted(referral_ids)))
        )
        return {
            row.referral_id: SealedCase(wrapped_key=row.wrapped_key, ciphertext=row.ciphertext)
            for row in rows
        }

    def destroy(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """See `ports.CustodyStore`."""
        if referral_ids:
            transaction.execute(
                delete(SEALED_CASES).where(SEALED_CASES.c.referral_id.in_(sorted(referral_ids)))
            )


def overwrite_what_is_deleted(engine: Engine) -> None:
    """Have SQLite write zeros over deleted rows, which otherwise stay readable in the file.

    PostgreSQL has no such thing: there a deleted row goes with the next VACUUM. Backups of either keep
    what they hold until they expire.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _delete_securely)


def _delete_securely(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _custody(row: Row[Any]) -> Custody:
    acceptance = None
    if row.acceptor is not None:
        acceptance = Acceptance(
            organization=row.acceptor,
            message_id=row.acceptance_id,
            correlation_id=row.correlation_id,
            traceparent=row.traceparent,
        )
    return Custody(
        referral_id=row.referral_id,
        state=State(row.state),
        sender=row.sender,
        receiver=row.receiver,
        kid=row.kid,
        acceptance=acceptance,
    )


def _values(custody: Custody, now: dt.datetime) -> dict[str, Any]:
    acceptance = custody.acceptance
    return {
        "of_referral": custody.referral_id,
        "state": custody.state.value,
        "sender": custody.sender,
        "receiver": custody.receiver,
        "kid": custody.kid,
        "acceptor": acceptance.organization if acceptance else None,
        "acceptance_id": acceptance.message_id if acceptance else None,
        "correlation_id": acceptance.correlation_id if acceptance else None,
        "traceparent": acceptance.traceparent if acceptance else None,
        "changed_at": now,
    }
