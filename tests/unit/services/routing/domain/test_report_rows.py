"""Reports, series and statements as rows: the marks of withheld figures."""

from __future__ import annotations

import datetime as dt

import pytest

from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan
from services.routing.domain.report_rows import report_rows, series_rows, statement_rows
from services.routing.domain.report_view import TOTALS, report_view, series_view, statement_view
from services.routing.domain.weekly_report import Statement, WeekEvents, report_of

WEEK = CalendarWeek.parse("2026-W09")
SMALL = report_of(WEEK, WeekEvents(submitted=4), ("kg.a",), WEEK.end + dt.timedelta(hours=1), lambda path: 0)
WORDS = {"en": "withheld", "ru": "скрыто", "ky": "жашырылган"}


@pytest.mark.parametrize(("language", "word"), WORDS.items())
def test_withheld_figure_of_a_report_is_the_word_for_it(language: str, word: str) -> None:
    columns, *rows = report_rows(report_view(SMALL, None, language), language)
    assert rows
    assert {row[columns.index("count")] for row in rows} == {word}
    assert {row[columns.index("change")] for row in rows} == {None}


@pytest.mark.parametrize(("language", "word"), WORDS.items())
def test_withheld_figure_of_a_series_is_the_word_for_it(language: str, word: str) -> None:
    (columns, row) = series_rows(series_view([SMALL], SeriesSpan.week), "week", language)
    assert {row[columns.index(name)] for name in TOTALS} == {word}


@pytest.mark.parametrize(("language", "word"), WORDS.items())
def test_withheld_figure_of_a_statement_is_the_word_for_it_and_a_missing_one_is_empty(
    language: str, word: str
) -> None:
    columns, *rows = statement_rows(statement_view("kg.a", WEEK, Statement(), None), language)
    counts = {row[columns.index("figure")]: row[columns.index("count")] for row in rows}
    withholding = {name for name in counts if str(name).startswith(("considered", "passed_over"))}
    assert {counts[name] for name in withholding} == {word}
    assert counts["median_answer_seconds"] is None
    assert {counts[name] for name in counts.keys() - withholding - {"median_answer_seconds"}} == {0}
