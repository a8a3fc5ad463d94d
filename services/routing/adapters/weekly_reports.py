"""The stored reports and statements, one row for each week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from contracts.records import plain, read
from runtime.turn import in_turns
from services.routing.adapters.tables import ASKED_IN_WEEK, WEEKLY_REPORTS
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.weekly_report import Statement, WeeklyReport
from services.routing.domain.withholding import PublishedFigures

_TABLES = ("gaps", "rules", "asked", "answers", "silent")
# Joins the parts of a path. No code and no organisation's id contains it.
_JOINT = "/"


class SqlWeeklyReports:
    """See `ports.WeeklyReports`."""

    def newest(self, transaction: Connection) -> tuple[CalendarWeek, int] | None:
        """See `ports.WeeklyReports`."""
        table = WEEKLY_REPORTS.c
        wanted = select(table.week, table.timeline_to).order_by(table.week.desc()).limit(1)
        found = transaction.execute(wanted).one_or_none()
        return None if found is None else (CalendarWeek.parse(found.week), found.timeline_to)

    def add(
        self,
        transaction: Connection,
        report: WeeklyReport,
        statements: Mapping[str, Statement],
        timeline_to: int,
        asked_by: Mapping[str, Sequence[str]],
    ) -> bool:
        """See `ports.WeeklyReports`."""
        row = {
            "week": str(report.week),
            "made_at": report.made_at,
            "timeline_to": timeline_to,
            "report": _stored(report),
            "statements": {name: plain(one) for name, one in statements.items()},
        }
        try:
            with transaction.begin_nested():
                transaction.execute(insert(WEEKLY_REPORTS), row)
        except IntegrityError:
            return False
        asked = [
            {"organization": name, "week": row["week"], "decisions": list(decisions)}
            for name, decisions in asked_by.items()
        ]
        if asked:
            transaction.execute(insert(ASKED_IN_WEEK), asked)
        return True

    def report(self, transaction: Connection, week: CalendarWeek) -> WeeklyReport | None:
        """See `ports.WeeklyReports`."""
        found = transaction.execute(
            select(WEEKLY_REPORTS).where(WEEKLY_REPORTS.c.week == str(week))
        ).one_or_none()
        return None if found is None else _report(found)

    def latest(self, transaction: Connection, limit: int) -> list[WeeklyReport]:
        """See `ports.WeeklyReports`."""
        wanted = select(WEEKLY_REPORTS).order_by(WEEKLY_REPORTS.c.week.desc()).limit(limit)
        return [_report(row) for row in in_turns(transaction.execute(wanted))]

    def statement(self, transaction: Connection, week: CalendarWeek, organization: str) -> Statement | None:
        """See `ports.WeeklyReports`."""
        found = _statements(transaction, week)
        if found is None:
            return None
        return read(Statement, found[organization]) if organization in found else Statement()

    def timeline_to(self, transaction: Connection, week: CalendarWeek) -> int | None:
        """See `ports.WeeklyReports`."""
        wanted = select(WEEKLY_REPORTS.c.timeline_to).where(WEEKLY_REPORTS.c.week == str(week))
        found: int | None = transaction.execute(wanted).scalar_one_or_none()
        return found

    def statements(self, transaction: Connection, week: CalendarWeek) -> dict[str, Statement] | None:
        """See `ports.WeeklyReports`."""
        found = _statements(transaction, week)
        return None if found is None else {name: read(Statement, one) for name, one in found.items()}

    def asked_by(self, transaction: Connection, week: CalendarWeek, organization: str) -> list[str]:
        """See `ports.WeeklyReports`."""
        table = ASKED_IN_WEEK.c
        wanted = select(table.decisions).where(table.organization == organization, table.week == str(week))
        return list(transaction.execute(wanted).scalar_one_or_none() or ())


def _statements(transaction: Connection, week: CalendarWeek) -> Mapping[str, Any] | None:
    wanted = select(WEEKLY_REPORTS.c.statements).where(WEEKLY_REPORTS.c.week == str(week))
    found: Mapping[str, Any] | None = transaction.execute(wanted).scalar_one_or_none()
    return found


def _stored(report: WeeklyReport) -> dict[str, Any]:
    return {
        "organizations": list(report.organizations),
        "submitted": report.submitted,
        "median_seconds": report.median_seconds,
        "medians": dict(report.medians),
        **{name: _stored_figures(getattr(report, name)) for name in _TABLES},
    }


def _stored_figures(figures: PublishedFigures) -> dict[str, Any]:
    return {"total": figures.total, "rows": {_JOINT.join(path): n for path, n in figures.rows.items()}}


def _report(row: Row[Any]) -> WeeklyReport:
    stored = row.report
    return WeeklyReport(
        week=CalendarWeek.parse(row.week),
        made_at=row.made_at,
        organizations=tuple(stored["organizations"]),
        submitted=stored["submitted"],
        median_seconds=stored["median_seconds"],
        medians=stored["medians"],
        **{name: _figures(stored[name]) for name in _TABLES},
    )


def _figures(stored: Mapping[str, Any]) -> PublishedFigures:
    rows = {tuple(path.split(_JOINT)) if path else (): n for path, n in stored["rows"].items()}
    return PublishedFigures(total=stored["total"], rows=rows)
