"""An organisation's statement of a month: the sums of its weekly statements.

It is computed from the stored weeks and from nothing else, so that neither the month nor its difference from
some weeks says more than they do. The log commits to its canonical JSON when it is issued.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from contracts.canonical import canonical_json
from contracts.codes import DeclineReason
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.passed_over import REASONS
from services.routing.domain.weekly_report import ALL_OTHERS, Statement

FORMAT: Final = "kopuro-statement/1"


def latest_complete(newest: CalendarWeek) -> CalendarMonth:
    """Return the latest month whose weeks all have a report. newest: the latest week that has one."""
    month = CalendarMonth.of(newest)
    return month if month.weeks[-1] <= newest else month.before


def monthly_statement(
    organization: str, month: CalendarMonth, weeks: Mapping[CalendarWeek, Statement]
) -> dict[str, Any]:
    """Return the content of a statement. weeks: those of the month that have a report.

    Figures of passing over are `{"count", "withheld", "at_least"}`: withheld if that of a week is, and
    at_least is the sum of the others. All other figures are exact.
    """
    known = [weeks[week] for week in month.weeks if week in weeks]

    def shown(figure: Callable[[Statement], int | None]) -> dict[str, Any]:
        counts = [figure(one) for one in known]
        least = sum(count for count in counts if count is not None)
        withheld = None in counts or not counts
        return {"count": None if withheld else least, "withheld": withheld, "at_least": least}

    over = shown(lambda one: one.passed_over_in_all)
    asked = sum(one.asked for one in known)
    accepted = sum(one.accepted for one in known)
    declined = {reason.value: sum(one.declined.get(reason, 0) for one in known) for reason in DeclineReason}
    return {
        "format": FORMAT,
        "organization": organization,
        "month": str(month),
        "from": _written(month.weeks[0]),
        "to": _written(month.weeks[-1].after),
        "weeks": [str(week) for week in month.weeks if week in weeks],
        "complete": len(known) == len(month.weeks),
        "considered": {
            "count": None if over["withheld"] else asked + over["count"],
            "withheld": over["withheld"],
            "at_least": asked + over["at_least"],
        },
        "passed_over": over,
        "passed_over_by_reason": {reason: shown(_reason(reason)) for reason in (*REASONS, ALL_OTHERS)},
        "asked": asked,
        "answered": accepted + sum(declined.values()),
        "accepted": accepted,
        "declined": declined,
        "silent": sum(one.silent for one in known),
    }


def content_of(statement: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of a statement (RFC 8785)."""
    return canonical_json(dict(statement))


def digest_of(content: bytes) -> str:
    """Return the digest that the log keeps of a statement's content."""
    return "sha256:" + sha256(content).hexdigest()


def months_to_issue(last: CalendarMonth | None, complete: CalendarMonth) -> Sequence[CalendarMonth]:
    """Return the months to issue, the oldest first.

    last: the latest that was issued; complete: the latest that can be. A hub whose reports are older than its
    statements begins with the latest month.
    """
    if last is None:
        return [complete]
    months: list[CalendarMonth] = []
    while (month := (months[-1] if months else last).after) <= complete:
        months.append(month)
    return months


def _reason(reason: str) -> Callable[[Statement], int | None]:
    return lambda one: one.passed_over.get(reason)


def _written(week: CalendarWeek) -> str:
    return f"{week.monday.isoformat()}T00:00:00Z"
