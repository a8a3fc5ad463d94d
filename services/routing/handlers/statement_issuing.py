"""Issues monthly statements: each organisation's once, when the month's last report has been made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from contracts.envelope import Event
from contracts.facts import StatementIssued
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database
from runtime.turn import Turn
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.monthly_statement import (
    content_of,
    digest_of,
    latest_complete,
    monthly_statement,
    months_to_issue,
)
from services.routing.domain.weekly_report import Statement
from services.routing.report_ports import IssuedStatement, StatementStore, WeeklyReports

# Organisations in one transaction.
PAGE: Final = 100


class IssueStatements:
    """The use case of a timer of each process. The first to write an organisation's statement issues it."""

    def __init__(
        self,
        *,
        database: Database,
        reports: WeeklyReports,
        statements: StatementStore,
        outbox: Outbox,
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        self._database = database
        self._reports = reports
        self._statements = statements
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._after_commit = after_commit

    def turn(self) -> int:
        """Issue the statements of each month that has ended; return how many. Raises DatabaseUnavailable.

        Statements and messages of a page of organisations are one transaction: a crash before it loses
        nothing, the next turn continues with the other organisations, and none gets two. Every organisation
        of the directory gets one, even if nothing happened: otherwise getting a statement would reveal that
        one was passed over. A month that lacks a week's report, such as the one in which the hub began, is
        not issued.
        """
        with self._database.read() as transaction:
            newest = self._reports.newest(transaction)
            last = self._statements.last_issued(transaction)
        if newest is None:
            return 0
        return sum(self._issue(month) for month in months_to_issue(last, latest_complete(newest[0])))

    def _issue(self, month: CalendarMonth) -> int:
        now = self._clock.now()
        with self._database.read() as transaction:
            reports = [self._reports.report(transaction, week) for week in month.weeks]
            weeks = {week: self._reports.statements(transaction, week) for week in month.weeks}
            known = {week: found for week, found in weeks.items() if found is not None}
            listed = {name for report in reports if report is not None for name in report.organizations}
            left = sorted(listed - self._statements.issued_to(transaction, month))
        issued, turn = 0, Turn()
        if len(known) == len(month.weeks):
            for start in range(0, len(left), PAGE):
                page = left[start : start + PAGE]
                if not self._issue_page(month, page, known, now):
                    return issued  # another process is issuing it; the next turn looks again
                issued += len(page)
                turn.end_if_over()
        with self._database.write() as transaction:
            self._statements.close(transaction, month, now)
        return issued

    def _issue_page(
        self,
        month: CalendarMonth,
        organizations: Sequence[str],
        weeks: Mapping[CalendarWeek, Mapping[str, Statement]],
        now: dt.datetime,
    ) -> bool:
        issued: list[IssuedStatement] = []
        events: list[Event[StatementIssued]] = []
        for organization in organizations:
            own = {week: found.get(organization, Statement()) for week, found in weeks.items()}
            content = content_of(monthly_statement(organization, month, own))
            number = new_id()
            issued.append(
                IssuedStatement(
                    organization=organization,
                    month=month,
                    content=content,
                    issued_at=now,
                    logged_in=number,
                )
            )
            events.append(
                Event(
                    id=number,
                    source=self._source,
                    time=now,
                    partition_key=organization,
                    correlation_id=number,
                    causation_id=None,
                    data=StatementIssued(
                        organization=organization, month=str(month), digest=digest_of(content)
                    ),
                )
            )
        with self._database.write() as transaction:
            if not self._statements.add(transaction, issued):
                return False  # another process was first
            self._outbox.add(transaction, [outgoing(one) for one in events])
        self._after_commit()
        return True
