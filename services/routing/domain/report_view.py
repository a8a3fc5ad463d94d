"""Reports as JSON: one week beside the week before, a series of weeks or months, an organisation's own week.

A figure is {"count", "withheld", "change"}. count: None if withheld. change: from the week before; None
unless both counts are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from contracts.codes import DeclineReason
from contracts.vocabularies import label
from services.routing.domain.blocking_rule import BLOCKING_RULES
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.passed_over import REASONS
from services.routing.domain.report_words import rule_label, word
from services.routing.domain.weekly_report import (
    ACCEPTED,
    ALL_OTHERS,
    Statement,
    WeeklyReport,
    shown_answers,
)
from services.routing.domain.withholding import THRESHOLD, Path, PublishedFigures

Figure = dict[str, Any]

TOTALS: Final = ("submitted", "unplaced", "asked", "answered", "silent")


def report_view(report: WeeklyReport, before: WeeklyReport | None, language: str) -> dict[str, Any]:
    """Return a week's report. before: of the week before, if there is one. language: of the labels.

    In the gaps, a row whose `language` is None counts all other cells of its need group and country, one
    without `need` all others of its country, and one without `region` everything else. The last one and the
    row of each rule and organisation are always there.
    """
    week = report.week
    gaps = sorted(
        {*report.gaps.rows, ()}, key=lambda path: (not path, path[:1], not path[1:], path[1:2], path)
    )
    return {
        "week": str(week),
        "from": week.start,
        "to": week.end,
        "made_at": report.made_at,
        "before": None if before is None else str(before.week),
        "threshold": THRESHOLD,
        "totals": _totals(report, before),
        "median_answer": _figure(report.median_seconds, None if before is None else before.median_seconds),
        "gaps": [_gap(path, _compared(report, before, "gaps", path), language) for path in gaps],
        "rules": [_rule(rule, report, before, language) for rule in (*BLOCKING_RULES, None)],
        "organizations": [_organization(report, before, one) for one in (*report.organizations, None)],
    }


def series_view(reports: Iterable[WeeklyReport], every: SeriesSpan) -> list[dict[str, Any]]:
    """Return the totals of each span, the oldest first.

    A span's count is the sum of its weeks. If that of a week is withheld, the span's is too, and `at_least`
    is the sum of the others. So a span shows nothing that its weeks do not show. weeks: how many have a
    report.
    """
    spans: dict[str, list[WeeklyReport]] = {}
    for report in sorted(reports, key=lambda one: one.week):
        spans.setdefault(report.week.within(every), []).append(report)
    return [
        {
            "span": span,
            "from": weeks[0].week.start,
            "to": weeks[-1].week.end,
            "weeks": len(weeks),
            **{name: _sum([_total(week, name) for week in weeks]) for name in TOTALS},
        }
        for span, weeks in spans.items()
    ]


def statement_view(
    organization: str, week: CalendarWeek, statement: Statement, before: Statement | None
) -> dict[str, Any]:
    """Return the figures of an organisation's week. before: of the week before, if it was counted.

    All are exact, except `considered`, `passed_over` and `passed_over_by_reason`: how often the organisation
    was considered depends on choices of persons, so figures below 5 are withheld.
    """
    return {
        "organization": organization,
        "week": str(week),
        "from": week.start,
        "to": week.end,
        "before": None if before is None else str(week.before),
        **_statement_figures(statement, before),
    }


def _statement_figures(this: Statement, before: Statement | None) -> dict[str, Any]:
    def compared(figure: Callable[[Statement], int | None]) -> Figure:
        return _figure(figure(this), None if before is None else figure(before))

    return {
        "considered": compared(_considered),
        "passed_over": compared(lambda one: one.passed_over_in_all),
        "passed_over_by_reason": {
            reason: compared(partial(_passed_over, reason)) for reason in (*REASONS, ALL_OTHERS)
        },
        "asked": compared(lambda one: one.asked),
        "answered": compared(lambda one: one.accepted + sum(one.declined.values())),
        "accepted": compared(lambda one: one.accepted),
        "declined": {reason.value: compared(partial(_declined, reason.value)) for reason in DeclineReason},
        "silent": compared(lambda one: one.silent),
        # None without answers: nothing is withheld from the organisation itself.
        "median_answer": {**compared(lambda one: one.median_seconds), "withheld": False},
    }


def _considered(statement: Statement) -> int | None:
    over = statement.passed_over_in_all
    return None if over is None else statement.asked + over


def _passed_over(reason: str, statement: Statement) -> int | None:
    return statement.passed_over.get(reason)


def _declined(reason: str, statement: Statement) -> int:
    return statement.declined.get(reason, 0)


def _totals(report: WeeklyReport, before: WeeklyReport | None) -> dict[str, Figure]:
    return {
        name: _figure(_total(report, name), None if before is None else _total(before, name))
        for name in TOTALS
    }


def _total(report: WeeklyReport, name: str) -> int | None:
    match name:
        case "submitted":
            return report.submitted
        case "unplaced":
            return report.gaps.total
        case "answered":
            return report.answers.total
        case _:
            found: PublishedFigures = getattr(report, name)
            return found.total


def _gap(path: Path, figure: Figure, language: str) -> dict[str, Any]:
    parts: list[str | None] = [*path, *[None] * (5 - len(path))]
    country, group, region, need, spoken = parts
    region, need = region or country, need or group
    return {
        "region": region,
        "need": need,
        "language": spoken,
        "labels": {
            "region": region and label("regions", region, language),
            "need": need and label("needs", need, language),
            "language": spoken and label("languages", spoken, language),
        },
        **figure,
    }


def _rule(
    rule: str | None, report: WeeklyReport, before: WeeklyReport | None, language: str
) -> dict[str, Any]:
    """Return the row of a rule, or the one of all that share a row (None)."""
    named = word("others", language) if rule is None else rule_label(rule, language)
    path = () if rule is None else (rule,)
    return {"rule": rule, "label": named, **_compared(report, before, "rules", path)}


def _organization(
    report: WeeklyReport, before: WeeklyReport | None, organization: str | None
) -> dict[str, Any]:
    """Return an organisation's row, or the one of all that share a row (None)."""
    path = () if organization is None else (organization,)
    shown = 0 if organization is None else shown_answers(report.answers, organization)
    median = _median(report, organization)
    median_before = None if before is None else _median(before, organization)
    return {
        "organization": organization,
        "asked": _compared(report, before, "asked", path),
        # Without the row of its other results, more answers may exist than are shown.
        "answered": {**_compared(report, before, "answered", path), "at_least": shown},
        "accepted": _compared(report, before, "answers", (*path, ACCEPTED)),
        "declined": {
            reason.value: _compared(report, before, "answers", (*path, reason.value))
            for reason in DeclineReason
        },
        "silent": _compared(report, before, "silent", path),
        "median_answer": _figure(median, median_before),
    }


def _median(report: WeeklyReport, organization: str | None) -> int | None:
    return None if organization is None else report.medians.get(organization)


def _compared(report: WeeklyReport, before: WeeklyReport | None, table: str, path: Path) -> Figure:
    return _figure(_shown(report, table, path), None if before is None else _shown(before, table, path))


def _shown(report: WeeklyReport, table: str, path: Path) -> int | None:
    if table == "answered":
        return _answered_by(report.answers, path)
    found: Mapping[Path, int] = getattr(report, table).rows
    return found.get(path)


def _answered_by(answers: PublishedFigures, path: Path) -> int | None:
    if not path:
        return answers.rows.get(())
    return shown_answers(answers, path[0]) if path in answers.rows else None


def _figure(count: int | None, before: int | None) -> Figure:
    return {
        "count": count,
        "withheld": count is None,
        "change": None if count is None or before is None else count - before,
    }


def _sum(counts: list[int | None]) -> dict[str, Any]:
    shown = [count for count in counts if count is not None]
    withheld = len(shown) < len(counts)
    return {"count": None if withheld else sum(shown), "withheld": withheld, "at_least": sum(shown)}
