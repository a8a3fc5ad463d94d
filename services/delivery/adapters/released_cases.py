"""Released cases in delivery's database: ciphertext, each sealed to one organisation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, delete, select

from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import CASE_LETTERS
from services.delivery.domain.closing import End
from services.delivery.ports import ReleasedCase

_CLOSED = SqlStatement(
    "SELECT referral_id, closed_because, closed_at FROM case_letters"
    " WHERE referral_id = ANY (?) AND closed_at IS NOT NULL"
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
    "INSERT INTO case_letters (referral_id, closed_at, closed_because) VALUES (?, ?, ?)"
    " ON CONFLICT (referral_id) DO UPDATE"
    " SET organization = NULL, sealed_case = NULL,"
    " closed_at = excluded.closed_at, closed_because = excluded.closed_because"
)


class SqlReleasedCases:
    """See `ports.ReleasedCases`."""

    def closed(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[str, End]:
        """See `ports.ReleasedCases`."""
        if not referral_ids:
            return {}
        return {
            # Earlier builds stored no reason. A withdrawal says the least.
            referral_id: End(reason=reason or "withdrawn", at=moment_of(closed_at))
            for referral_id, reason, closed_at in _CLOSED.run(transaction, list(referral_ids))
        }

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

    def close(self, transaction: Connection, ended: Mapping[str, End]) -> None:
        """See `ports.ReleasedCases`."""
        _CLOSE.run_for_each(
            transaction, [(id_, microseconds(end.at), end.reason) for id_, end in sorted(ended.items())]
        )

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """See `ports.ReleasedCases`."""
        table = CASE_LETTERS
        oldest = select(table.c.referral_id).where(table.c.closed_at < before).limit(limit)
        return transaction.execute(delete(table).where(table.c.referral_id.in_(oldest))).rowcount
