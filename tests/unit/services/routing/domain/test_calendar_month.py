"""Months consist of the ISO weeks whose Thursday lies in them."""

from __future__ import annotations

import datetime as dt

import pytest

from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek, SeriesSpan


@pytest.mark.parametrize(
    ("month", "first", "last"),
    [
        ("2026-10", "2026-W40", "2026-W44"),
        ("2026-11", "2026-W45", "2026-W48"),
        ("2026-01", "2026-W01", "2026-W05"),
    ],
)
def test_month_consists_of_the_weeks_whose_thursday_is_in_it(month: str, first: str, last: str) -> None:
    weeks = CalendarMonth.parse(month).weeks
    assert (str(weeks[0]), str(weeks[-1])) == (first, last)
    assert {week.within(SeriesSpan.month) for week in weeks} == {month}


def test_every_week_is_in_one_month() -> None:
    week = CalendarWeek.parse("2019-W01")
    month = CalendarMonth.of(week)
    counted: list[CalendarWeek] = []
    for _ in range(96):
        counted += month.weeks
        assert month.before.after == month
        month = month.after
    assert counted == [CalendarWeek(week.monday + dt.timedelta(weeks=n)) for n in range(len(counted))]


@pytest.mark.parametrize(
    "text", ["2026-W54", "2026-7", "0000-W01", "0001-W01", "9999-W52", "9999-W53", "", "2026-W07-1"]
)
def test_malformed_week_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2026-W07"):
        CalendarWeek.parse(text)


@pytest.mark.parametrize("text", ["0002-W01", "9998-W52"])
def test_every_week_that_has_a_text_has_a_week_before_and_after_it(text: str) -> None:
    week = CalendarWeek.parse(text)
    assert week.before.after == week.after.before == week


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-1", "2026-W07", "0000-01", "0001-01", "9999-12", "", "2026-10-01"]
)
def test_other_texts_are_not_months(text: str) -> None:
    with pytest.raises(ValueError, match="2026-10"):
        CalendarMonth.parse(text)
