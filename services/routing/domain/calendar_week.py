"""Weeks of ISO 8601 in UTC, and the months and weeks that a series sums up."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_WEEK: Final = dt.timedelta(days=7)
_WRITTEN: Final = re.compile(r"([0-9]{4})-W([0-9]{2})", re.ASCII)


class SeriesSpan(StrEnum):
    """The time that one line of a series covers."""

    week = "week"
    month = "month"


@dataclass(frozen=True, order=True, slots=True)
class CalendarWeek:
    """One week, from Monday 00:00 UTC. monday: its first day."""

    monday: dt.date

    @classmethod
    def of(cls, moment: dt.datetime) -> CalendarWeek:
        """Return the week that holds a moment."""
        day = moment.astimezone(dt.UTC).date()
        return cls(day - dt.timedelta(days=day.weekday()))

    @classmethod
    def parse(cls, text: str) -> CalendarWeek:
        """Return the week of a text such as `2026-W07`. Raises ValueError."""
        found = _WRITTEN.fullmatch(text)
        try:
            # The first and the last year that a date can name have weeks beyond it.
            if found is not None and dt.MINYEAR < int(found[1]) < dt.MAXYEAR:
                return cls(dt.date.fromisocalendar(int(found[1]), int(found[2]), 1))
        except ValueError:
            pass  # no such week in that year
        raise ValueError("A week is written as 2026-W07.")

    def __str__(self) -> str:
        year, number, _ = self.monday.isocalendar()
        return f"{year:04}-W{number:02}"

    @property
    def start(self) -> dt.datetime:
        return dt.datetime.combine(self.monday, dt.time(), dt.UTC)

    @property
    def end(self) -> dt.datetime:
        """The first moment of the next week."""
        return self.start + _WEEK

    @property
    def before(self) -> CalendarWeek:
        return CalendarWeek(self.monday - _WEEK)

    @property
    def after(self) -> CalendarWeek:
        return CalendarWeek(self.monday + _WEEK)

    def within(self, span: SeriesSpan) -> str:
        """Return the span that counts this week: itself, or the month that holds its Thursday.

        A month consists of whole weeks, so that the difference between a month and its weeks is never the
        few units of some days.
        """
        if span is SeriesSpan.week:
            return str(self)
        return f"{self.monday + dt.timedelta(days=3):%Y-%m}"
