"""The monthly statements that were issued, and whom the decisions of their months asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from contracts.commitment import SALT_BYTES
from services.routing.adapters.tables import DECISIONS, ISSUED_MONTHS, STATEMENTS
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.report_ports import AskingDecision, IssuedStatement


class SqlStatementStore:
    """See `ports.StatementStore`."""

    def last_issued(self, transaction: Connection) -> CalendarMonth | None:
        """See `ports.StatementStore`."""
        found = transaction.execute(select(func.max(ISSUED_MONTHS.c.month))).scalar_one_or_none()
        return None if found is None else CalendarMonth.parse(found)

    def issued_to(self, transaction: Connection, month: CalendarMonth) -> set[str]:
        """See `ports.StatementStore`."""
        wanted = select(STATEMENTS.c.organization).where(STATEMENTS.c.month == str(month))
        return set(transaction.execute(wanted).scalars())

    def add(self, transaction: Connection, statements: Sequence[IssuedStatement]) -> bool:
        """See `ports.StatementStore`."""
        rows = [
            {
                "month": str(one.month),
                "organization": one.organization,
                "issued_at": one.issued_at,
                "content": one.content,
                "logged_in": one.logged_in,
            }
            for one in statements
        ]
        try:
            with transaction.begin_nested():
                transaction.execute(insert(STATEMENTS), rows)
        except IntegrityError:
            return False
        return True

    def close(self, transaction: Connection, month: CalendarMonth, now: dt.datetime) -> None:
        """See `ports.StatementStore`."""
        try:
            with transaction.begin_nested():
                transaction.execute(insert(ISSUED_MONTHS), {"month": str(month), "issued_at": now})
        except IntegrityError:
            pass  # another process was first

    def issued(
        self, transaction: Connection, month: CalendarMonth, organization: str
    ) -> IssuedStatement | None:
        """See `ports.StatementStore`."""
        table = STATEMENTS.c
        wanted = select(STATEMENTS).where(table.month == str(month), table.organization == organization)
        found = transaction.execute(wanted).one_or_none()
        if found is None:
            return None
        return IssuedStatement(
            organization=found.organization,
            month=month,
            content=bytes(found.content),
            issued_at=found.issued_at,
            logged_in=found.logged_in,
        )

    def decisions(self, transaction: Connection, ids: Sequence[str]) -> dict[str, AskingDecision]:
        """See `ports.StatementStore`."""
        return {
            row.id: AskingDecision(
                id=row.id,
                referral_id=row.referral_id,
                organizations=[one["organization"] for one in row.record.get("candidates", ())],
                # Routing writes salts of one length only, so another length was written by somebody else.
                salt=bytes(row.salt) if row.salt is not None and len(row.salt) == SALT_BYTES else None,
                asked=row.asked,
                logged_in=row.logged_in,
                kept=row.proofs or {},
            )
            for row in transaction.execute(select(DECISIONS).where(DECISIONS.c.id.in_(list(ids))))
        }
