"""Weekly reports: made once after the end of each week, then read."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Any, Final

from contracts.errors import Refused
from runtime.clock import Clock
from runtime.storage.database import Database
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.report_view import report_view, series_view, statement_view
from services.routing.domain.weekly_report import report_of, statements_of
from services.routing.domain.withholding import Path
from services.routing.live_directory import LiveDirectory
from services.routing.report_ports import WeekEventReader, WeeklyReports

# A week's last transactions and messages are read by then.
MADE_AFTER: Final = dt.timedelta(hours=1)
# Facts of older referrals may have been reduced, so reports of older weeks are not made up for.
_MADE_UP_FOR: Final = dt.timedelta(weeks=12)
# A month has at most five weeks.
_MOST_WEEKS: Final = {SeriesSpan.week: 1, SeriesSpan.month: 5}


class ReportWeeks:
    """Makes the reports that are due. The use case of a timer of each process; the first to finish wins."""

    def __init__(
        self,
        *,
        database: Database,
        reports: WeeklyReports,
        events: WeekEventReader,
        network: LiveDirectory,
        unready: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        """unready: why the directory is not complete, None once it is."""
        self._database = database
        self._reports = reports
        self._events = events
        self._network = network
        self._unready = unready
        self._clock = clock

    def turn(self) -> None:
        """Make the report of each week that has ended. Raises DatabaseUnavailable: the next turn continues.

        The organisations of a report are those of the directory, so nothing is made before it is complete.
        """
        if self._unready() is not None:
            return
        now = self._clock.now()
        while self._make_next(CalendarWeek.of(now - MADE_AFTER).before, now):
            pass

    def _make_next(self, last: CalendarWeek, now: dt.datetime) -> bool:
        with self._database.read() as transaction:
            newest = self._reports.newest(transaction)
            if newest is None:
                began = self._events.began(transaction)
                oldest = CalendarWeek.of(now - _MADE_UP_FOR)
                # The first report of a hub that began in this week is empty.
                week, after = last if began is None else min(last, max(CalendarWeek.of(began), oldest)), 0
            else:
                week, after = newest[0].after, newest[1]
            if last < week:
                return False
            events, timeline_to = self._events.read(transaction, week, after, now)
        organizations = self._network.directory.organizations()
        report = report_of(week, events, organizations, now, _lot)
        statements = statements_of(events, self._network.directory.root_of, _lot)
        with self._database.write() as transaction:
            self._reports.add(transaction, report, statements, timeline_to, events.asked_by)
        return True


class ReportQueries:
    """Reads only. Every method raises DatabaseUnavailable, and Refused `not-found` without a report."""

    def __init__(self, *, database: Database, reports: WeeklyReports) -> None:
        self._database = database
        self._reports = reports

    def report(self, week: CalendarWeek | None, language: str) -> dict[str, Any]:
        """Return a week's report beside the week before. week: None for the latest that was made."""
        with self._database.read() as transaction:
            found = self._week(self._reports.newest(transaction), week)
            report = self._reports.report(transaction, found)
            before = self._reports.report(transaction, found.before)
        if report is None:
            raise _no_report(found)
        return report_view(report, before, language)

    def series(self, every: SeriesSpan, limit: int) -> list[dict[str, Any]]:
        """Return the totals of the latest spans, the oldest first; none before the first report."""
        with self._database.read() as transaction:
            reports = self._reports.latest(transaction, limit * _MOST_WEEKS[every])
        return series_view(reports, every)[-limit:]

    def statement(self, organization: str, week: CalendarWeek | None) -> dict[str, Any]:
        """Return the figures of an organisation's own week. week: None for the latest."""
        with self._database.read() as transaction:
            found = self._week(self._reports.newest(transaction), week)
            statement = self._reports.statement(transaction, found, organization)
            before = self._reports.statement(transaction, found.before, organization)
        if statement is None:
            raise _no_report(found)
        return statement_view(organization, found, statement, before)

    def _week(self, newest: tuple[CalendarWeek, int] | None, wanted: CalendarWeek | None) -> CalendarWeek:
        if wanted is not None:
            return wanted
        if newest is None:
            raise Refused("not-found", "No report has been made yet.")
        return newest[0]


def _lot(path: Path) -> int:
    return secrets.randbits(64)


def _no_report(week: CalendarWeek) -> Refused:
    return Refused(
        "not-found", f"There is no report of {week}: a report is made once, after the end of its week."
    )
