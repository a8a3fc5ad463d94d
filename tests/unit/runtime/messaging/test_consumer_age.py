"""The age of the events that a consumer processes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from runtime.messaging.consumer_age import REMEMBERED, ConsumerAge
from tests.support.settable_clock import SettableClock

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@dataclass
class TimedMessage:
    time: dt.datetime


def aged(*seconds: float) -> list[TimedMessage]:
    return [TimedMessage(NOW - one * SECOND) for one in seconds]


def test_batch_in_hand_ages_until_it_is_finished() -> None:
    clock = SettableClock(NOW)
    age = ConsumerAge(clock)
    assert age.seconds() == 0
    age.taken(aged(2, 7, 1))
    assert age.seconds() == 7
    clock.time = NOW + 50 * SECOND
    assert age.seconds() == 57


def test_finished_batch_is_remembered_until_a_scrape_has_seen_it() -> None:
    clock = SettableClock(NOW)
    age = ConsumerAge(clock)
    age.taken(aged(9))
    age.finished()
    age.taken(aged(1))
    age.finished()
    assert age.seconds() == 9
    clock.time = NOW + REMEMBERED + SECOND
    assert age.seconds() == 0


def test_batch_that_failed_keeps_its_age_when_it_is_taken_again() -> None:
    clock = SettableClock(NOW)
    age = ConsumerAge(clock)
    age.taken(aged(9))
    clock.time = NOW + 60 * SECOND
    age.taken(aged(3))
    assert age.seconds() == 69


def test_messages_without_a_time_and_clocks_that_are_behind_have_no_age() -> None:
    age = ConsumerAge(SettableClock(NOW))
    age.taken([object()])
    age.finished()
    assert age.seconds() == 0
    age.taken(aged(-5))
    assert age.seconds() == 0
