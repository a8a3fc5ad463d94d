"""Released cases in delivery's database: ciphertext, each sealed to one organisation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, delete, select

from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import CASE_LETTERS
from services.delivery.ports import ReleasedCase

_CLOSED = SqlStatement(
    "SELECT referral_id FROM case_letters WHERE referral_id = ANY (?) AND closed_at IS NOT NULL"
)

_KEEP = SqlStatement(
    "INSERT INTO case_letters (referral_id, organization, sealed_case) VALUES (?, ?, ?)"
    " ON CONFLICT (referral_id) DO UPDATE"
    " SET organization = excluded.organization, sealed_case = excluded.sealed_case"
    " WHERE case_letters.closed_at IS NULL"
)

# The case may already be released to the next acceptor.
_TAKE_BACK = SqlStatement(
    "UPDATE case_letters SET organization = NULL, sealed_case = NULL"
    " WHERE referral_id = ? AND organization = ?"
)

_CLOSE = SqlStatement(
    "INSERT INTO case_letters (referral_id, closed_at) VALUES (?, ?)"
    " ON CONFLICT (referral_id) DO UPDATE"
    " SET organization = NULL, sealed_case = NULL, closed_at = excluded.closed_at"
)


class SqlReleasedCases:
    """See `ports.ReleasedCases`."""

    def closed(self, transaction: Connection, referral_ids: Collection[str]) -> set[str]:
        """See `ports.ReleasedCases`."""
        return set(_CLOSED.run(transaction, list(referral_ids)).scalars()) if referral_ids else set()

    def keep(self, transaction: Connection, cases: Sequence[ReleasedCase]) -> None:
        """See `ports.ReleasedCases`."""
        _KEEP.run_for_each(transaction, [(case.referral_id, case.organization, case.case) for case in cases])

    def case_for(self, transaction: Connection, referral_id: str, organization: str) -> str | None:
        """See `ports.ReleasedCases`."""
        return transaction.execute(
            select(CASE_LETTERS.c.sealed_case).where(
                CASE_LETTERS.c.referral_id == referral_id, CASE_LETTERS.c.organization == organization
            )
        ).scalar()

    def take_back(self, transaction: Connection, released: Sequence[tuple[str, str]]) -> None:
        """See `ports.ReleasedCases`."""
        _TAKE_BACK.run_for_each(transaction, sorted(released))

    def close(self, transaction: Connection, referral_ids: Iterable[str], now: dt.datetime) -> None:
        """See `ports.ReleasedCases`."""
        closed_at = microseconds(now)
        _CLOSE.run_for_each(transaction, [(id_, closed_at) for id_ in sorted(set(referral_ids))])

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.ReleasedCases`."""
        table = CASE_LETTERS
        oldest = select(table.c.referral_id).where(table.c.closed_at < before).limit(limit)
        return transaction.execute(delete(table).where(table.c.referral_id.in_(oldest))).rowcount
