"""Detection of clocks that are ahead, from the times of their events."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from runtime.messaging.clocks import REMEMBERED_SECONDS, Clocks

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


@dataclass
class TimedMessage:
    source: str
    time: dt.datetime


def message(source: str, seconds: float) -> TimedMessage:
    return TimedMessage(source, NOW + dt.timedelta(seconds=seconds))


def test_alarm_names_clock_that_is_ahead() -> None:
    clocks = Clocks()
    clocks.note([message("/kg/intake", 90), message("/kg/vault", 1.5), message("/kg/routing", -3600)], NOW)
    assert clocks.alarm() == "the clock of /kg/intake is 90 s ahead of ours"
    assert clocks.furthest() == 90


def test_alarm_keeps_largest_difference_until_it_expires() -> None:
    elapsed = [0.0]
    clocks = Clocks(lambda: elapsed[0])
    clocks.note([message("/kg/intake", 90)], NOW)
    clocks.note([message("/kg/intake", 5), message("/kg/intake", -1)], NOW)
    assert clocks.furthest() == 90
    elapsed[0] = REMEMBERED_SECONDS + 1
    assert (clocks.alarm(), clocks.furthest()) == (None, 0.0)
    clocks.note([message("/kg/intake", 5)], NOW)
    assert clocks.furthest() == 5


def test_messages_without_time_are_ignored() -> None:
    clocks = Clocks()
    clocks.note([object()], NOW)
    assert clocks.alarm() is None
