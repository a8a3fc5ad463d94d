"""Clocks that are ahead are told by the events that they timed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from runtime.messaging.clocks import REMEMBERED_SECONDS, Clocks

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@dataclass
class Said:
    source: str
    time: dt.datetime


def said(source: str, seconds: float) -> Said:
    return Said(source, NOW + dt.timedelta(seconds=seconds))


def test_clock_that_is_ahead_is_named_with_its_difference() -> None:
    clocks = Clocks()
    clocks.note([said("/kg/intake", 90), said("/kg/vault", 1.5), said("/kg/routing", -3600)], NOW)
    assert clocks.alarm() == "the clock of /kg/intake is 90 s ahead of ours"
    assert clocks.furthest() == 90


def test_largest_difference_is_told_until_it_is_old() -> None:
    passed = [0.0]
    clocks = Clocks(lambda: passed[0])
    clocks.note([said("/kg/intake", 90)], NOW)
    clocks.note([said("/kg/intake", 5), said("/kg/intake", -1)], NOW)
    assert clocks.furthest() == 90
    passed[0] = REMEMBERED_SECONDS + 1
    assert (clocks.alarm(), clocks.furthest()) == (None, 0.0)
    clocks.note([said("/kg/intake", 5)], NOW)
    assert clocks.furthest() == 5


def test_messages_without_time_say_nothing() -> None:
    clocks = Clocks()
    clocks.note([object()], NOW)
    assert clocks.alarm() is None
