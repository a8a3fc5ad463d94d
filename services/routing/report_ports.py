"""The ports of routing's reports: the events of a week, its report and statements, and issued statements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.weekly_report import Statement, WeekEvents, WeeklyReport


class WeekEventReader(Protocol):
    """The events of a week, from the timeline."""

    def began(self, transaction: Connection) -> dt.datetime | None:
        """Return the time of the first step of any referral, None if there is none."""
        ...

    def read(
        self, transaction: Connection, week: CalendarWeek, after: int, now: dt.datetime
    ) -> tuple[WeekEvents, int]:
        """Return a week's events, and the number behind which the next week's steps are.

        after: such a number of the week before, 0 to read from the start. A step later than now does not end
        the week.
        """
        ...


class WeeklyReports(Protocol):
    """The weekly reports, each written once. Durable with the transaction."""

    def newest(self, transaction: Connection) -> tuple[CalendarWeek, int] | None:
        """Return the latest week that has a report, and its `timeline_to`."""
        ...

    def add(
        self,
        transaction: Connection,
        report: WeeklyReport,
        statements: Mapping[str, Statement],
        timeline_to: int,
        asked_by: Mapping[str, Sequence[str]],
    ) -> bool:
        """Write a report; return False and change nothing if its week has one.

        timeline_to: the number behind which the next week's steps are (`WeekEventReader.read`). asked_by: the
        decisions that asked each organisation.
        """
        ...

    def report(self, transaction: Connection, week: CalendarWeek) -> WeeklyReport | None:
        """Return the report of a week, None if there is none."""
        ...

    def latest(self, transaction: Connection, limit: int) -> list[WeeklyReport]:
        """Return the latest reports, the latest first."""
        ...

    def statement(self, transaction: Connection, week: CalendarWeek, organization: str) -> Statement | None:
        """Return an organisation's statement, of zeros if nothing happened; None if the week has none."""
        ...

    def timeline_to(self, transaction: Connection, week: CalendarWeek) -> int | None:
        """Return the number behind which the next week's steps are; None if there is no report."""
        ...

    def statements(self, transaction: Connection, week: CalendarWeek) -> dict[str, Statement] | None:
        """Return the statements of all organisations with events; None if there is no report."""
        ...

    def asked_by(self, transaction: Connection, week: CalendarWeek, organization: str) -> list[str]:
        """Return the decisions that asked an organisation in a week, oldest first; none without a report."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedStatement:
    """A statement as issued. content: the bytes that the log's digest covers. logged_in: the message."""

    organization: str
    month: CalendarMonth
    content: bytes
    issued_at: dt.datetime
    logged_in: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AskingDecision:
    """The organisations that a decision asked, as its row has them.

    salt, asked: None once erased, and in decisions of earlier builds. logged_in: None in the latter.
    organizations: of all candidates, each once or more. kept: see `domain/kept_proofs.py`; empty until the
    decision is erased.
    """

    id: str
    referral_id: str
    organizations: Sequence[str]
    salt: bytes | None
    asked: Sequence[str] | None
    logged_in: str | None
    kept: Mapping[str, Any]


class StatementStore(Protocol):
    """The monthly statements that were issued, and the decisions that prove them.

    Durable with the transaction.
    """

    def last_issued(self, transaction: Connection) -> CalendarMonth | None:
        """Return the latest month whose statements have all been issued."""
        ...

    def issued_to(self, transaction: Connection, month: CalendarMonth) -> set[str]:
        """Return the organisations that have a statement of the month."""
        ...

    def add(self, transaction: Connection, statements: Sequence[IssuedStatement]) -> bool:
        """Write statements; return False and change nothing if one of them exists."""
        ...

    def close(self, transaction: Connection, month: CalendarMonth, now: dt.datetime) -> None:
        """Record that all statements of a month have been issued. Again: no effect."""
        ...

    def issued(
        self, transaction: Connection, month: CalendarMonth, organization: str
    ) -> IssuedStatement | None:
        """Return a statement that was issued."""
        ...

    def decisions(self, transaction: Connection, ids: Sequence[str]) -> dict[str, AskingDecision]:
        """Return the existing ones of these decisions."""
        ...
