"""`kopuro routing statements`: counts a month's statements again, from the decisions and the timeline.

Decisions whose records were erased cannot be counted again. A week that has some is compared without the
figures that depend on them (how often an organisation was passed over), and some of the decisions that asked
an organisation may be missing.

The organisations come from the directory and not from routing's replica of it: the codes of those rows need
the service's signing key, which operators' commands do not read. `kopuro admin reconcile` compares the
directory with the log.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from sqlalchemy import Connection, func, select

from contracts.organization import Organization
from contracts.records import plain, read
from kopuro_client.commands.counts import count
from kopuro_client.commands.output import Output
from services.directory.adapters.tables import ORGANIZATIONS
from services.routing.adapters.issued_statements import SqlStatementStore
from services.routing.adapters.tables import DECISIONS
from services.routing.adapters.week_events import SqlWeekEvents
from services.routing.adapters.weekly_reports import SqlWeeklyReports
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.directory import Directory
from services.routing.domain.monthly_statement import content_of, monthly_statement
from services.routing.domain.weekly_report import (
    ALL_OTHERS,
    Statement,
    WeekEvents,
    counted_reasons,
    statements_of,
)

_EXACT: Final = ("asked", "accepted", "declined", "silent", "median_seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class StatementMismatch:
    """A statement that disagrees with the decisions. span: a week or the month."""

    organization: str
    span: str
    what: str


@dataclass(kw_only=True, slots=True)
class CountedAgain:
    """statements: of a week or of the month. missing: weeks without a report; erased: decisions by week."""

    statements: int = 0
    mismatches: list[StatementMismatch] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    erased: dict[str, int] = field(default_factory=dict)


def count_again(
    routing: Connection, directory: Connection, month: CalendarMonth, now: dt.datetime
) -> CountedAgain:
    """Compare the month's statements with what happened. routing, directory: their databases, read-only.

    Branches are counted with the organisations that they belong to now.
    """
    root_of = _organizations(directory).root_of
    reports, store, result = SqlWeeklyReports(), SqlStatementStore(), CountedAgain()
    weeks: dict[CalendarWeek, dict[str, Statement]] = {}
    for week in month.weeks:
        stored = reports.statements(routing, week)
        if stored is None:
            result.missing.append(str(week))
            continue
        weeks[week] = stored
        events, _ = SqlWeekEvents().read(routing, week, reports.timeline_to(routing, week.before) or 0, now)
        erased = _erased(routing, week)
        if erased:
            result.erased[str(week)] = erased
        counted = statements_of(events, root_of, lambda path: 0)
        for organization in sorted({*stored, *counted}):
            result.statements += 1
            kept = stored.get(organization, Statement())
            result.mismatches += [
                StatementMismatch(organization=organization, span=str(week), what=what)
                for what in (
                    *_differences(
                        kept, counted.get(organization, Statement()), events, organization, erased, root_of
                    ),
                    *_asked(reports.asked_by(routing, week, organization), events, organization, erased),
                )
            ]
    for organization in sorted(store.issued_to(routing, month)):
        issued = store.issued(routing, month, organization)
        own = {week: found.get(organization, Statement()) for week, found in weeks.items()}
        result.statements += 1
        if issued is None or issued.content != content_of(monthly_statement(organization, month, own)):
            what = "the issued statement is not the sum of its weeks"
            result.mismatches.append(StatementMismatch(organization=organization, span=str(month), what=what))
    return result


def _organizations(connection: Connection) -> Directory:
    """Return the organisations as the directory's database has them now, without agreements."""
    directory = Directory()
    for record in connection.execute(select(ORGANIZATIONS.c.record)).scalars():
        directory.put_organization(read(Organization, record))
    return directory


def _differences(
    kept: Statement,
    counted: Statement,
    events: WeekEvents,
    organization: str,
    erased: int,
    root_of: Callable[[str], str],
) -> Iterator[str]:
    for name in _EXACT:
        if plain(getattr(kept, name)) != plain(getattr(counted, name)):
            yield f"{name} is {getattr(kept, name)} and was {getattr(counted, name)}"
    if erased:
        return
    if kept.passed_over_in_all != counted.passed_over_in_all:
        yield f"passed over is {kept.passed_over_in_all} and was {counted.passed_over_in_all}"
    # A report shows one of two equal rows, chosen by lot, so each is compared with its own count.
    counts = counted_reasons(events, organization, root_of)
    for reason, number in kept.passed_over.items():
        if reason != ALL_OTHERS and counts[reason] != number:
            yield f"passed over for {reason} is {number} and was {counts[reason]}"


def _asked(kept: Sequence[str], events: WeekEvents, organization: str, erased: int) -> Iterator[str]:
    counted = list(events.asked_by.get(organization, ()))
    if not set(counted) <= set(kept) or (not erased and counted != list(kept)):
        yield "the decisions that asked it are not those that the statement lists"


def _erased(routing: Connection, week: CalendarWeek) -> int:
    table = DECISIONS.c
    wanted = select(func.count()).where(
        table.decided_at >= week.start, table.decided_at < week.end, table.erased_at.is_not(None)
    )
    return int(routing.execute(wanted).scalar_one())


def report(result: CountedAgain, month: CalendarMonth, out: Output) -> None:
    """Print the result: what differs, and how many statements agree."""
    if out.as_json:
        out.document({"month": str(month), **asdict(result)})
        return
    for one in result.mismatches:
        out.text(f"{one.organization} {one.span}: {one.what}")
    different = len({(one.organization, one.span) for one in result.mismatches})
    out.text(f"{result.statements - different} of {count(result.statements, 'statement')} of {month} agree")
    if result.missing:
        out.note(f"weeks without a report: {', '.join(result.missing)}")
    for week, erased in result.erased.items():
        were = "decision was" if erased == 1 else "decisions were"
        out.note(f"{week}: {erased} {were} erased, so passing over was not counted again")
