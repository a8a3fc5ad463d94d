"""Released cases in delivery's own database: ciphertext, each sealed to one organisation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from services.delivery.adapters.tables import CASE_LETTERS


class SqlCaseLetters:
    """See `ports.CaseLetters`."""

    def keep(self, transaction: Connection, referral_id: str, organization: str, case: str) -> bool:
        """See `ports.CaseLetters`."""
        insert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        values = {"organization": organization, "sealed_case": case}
        statement = (
            insert(CASE_LETTERS)
            .values(referral_id=referral_id, **values)
            .on_conflict_do_update(
                index_elements=[CASE_LETTERS.c.referral_id],
                set_=values,
                where=CASE_LETTERS.c.closed_at.is_(None),
            )
            .returning(CASE_LETTERS.c.referral_id)
        )
        return transaction.execute(statement).first() is not None

    def case_for(self, transaction: Connection, referral_id: str, organization: str) -> str | None:
        """See `ports.CaseLetters`."""
        return transaction.execute(
            select(CASE_LETTERS.c.sealed_case).where(
                CASE_LETTERS.c.referral_id == referral_id, CASE_LETTERS.c.organization == organization
            )
        ).scalar()

    def close(self, transaction: Connection, referral_ids: Iterable[str], now: dt.datetime) -> None:
        """See `ports.CaseLetters`."""
        insert = postgresql.insert if transaction.dialect.name == "postgresql" else sqlite.insert
        rows = [{"referral_id": referral_id, "closed_at": now} for referral_id in sorted(set(referral_ids))]
        if rows:
            closed = {"organization": None, "sealed_case": None, "closed_at": now}
            statement = insert(CASE_LETTERS).on_conflict_do_update(
                index_elements=[CASE_LETTERS.c.referral_id], set_=closed
            )
            transaction.execute(statement, rows)

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.CaseLetters`."""
        table = CASE_LETTERS
        oldest = select(table.c.referral_id).where(table.c.closed_at < before).limit(limit)
        return transaction.execute(delete(table).where(table.c.referral_id.in_(oldest))).rowcount
