"""Months as statements and series count them: the ISO weeks whose Thursday lies in a calendar month."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from services.routing.domain.calendar_week import CalendarWeek

_WRITTEN: Final = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
_THURSDAY: Final = dt.timedelta(days=3)


@dataclass(frozen=True, order=True, slots=True)
class CalendarMonth:
    """One month. first: its first day. Its weeks are whole, so some of their days may be of other months."""

    first: dt.date

    @classmethod
    def of(cls, week: CalendarWeek) -> CalendarMonth:
        """Return the month that counts a week."""
        return cls((week.monday + _THURSDAY).replace(day=1))

    @classmethod
    def parse(cls, text: str) -> CalendarMonth:
        """Return the month of a text such as `2026-10`. Raises ValueError."""
        found = _WRITTEN.fullmatch(text)
        try:
            if found is not None:
                month = cls(dt.date(int(found[1]), int(found[2]), 1))
                # The first and the last month that a date can name have weeks beyond it.
                if dt.MINYEAR < month.first.year < dt.MAXYEAR:
                    return month
        except ValueError:
            pass  # no such month
        raise ValueError("A month is written as 2026-10.")

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def weeks(self) -> tuple[CalendarWeek, ...]:
        """The four or five weeks of the month, in order."""
        week = CalendarWeek(self.first - dt.timedelta(days=self.first.weekday()))
        if CalendarMonth.of(week) != self:
            week = week.after
        found = [week]
        while CalendarMonth.of(following := found[-1].after) == self:
            found.append(following)
        return tuple(found)

    @property
    def before(self) -> CalendarMonth:
        return CalendarMonth((self.first - dt.timedelta(days=1)).replace(day=1))

    @property
    def after(self) -> CalendarMonth:
        return CalendarMonth((self.first + dt.timedelta(days=32)).replace(day=1))
