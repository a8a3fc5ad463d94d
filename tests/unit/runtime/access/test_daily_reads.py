"""Reads by parties are recorded once a day."""

from __future__ import annotations

import datetime as dt

import pytest

from runtime.access.daily_reads import DailyReads

MONDAY, TUESDAY = dt.date(2026, 3, 2), dt.date(2026, 3, 3)


class Days:
    def __init__(self) -> None:
        self.day = MONDAY
        self.recorded: list[str] = []

    def read(self, reads: DailyReads, what: str) -> None:
        reads.record_once(what, lambda: self.recorded.append(what))


def test_read_is_recorded_once_a_day() -> None:
    days = Days()
    reads = DailyReads(lambda: days.day)
    for what in ("a", "b", "a"):
        days.read(reads, what)
    assert days.recorded == ["a", "b"]
    days.day = TUESDAY
    days.read(reads, "a")
    assert days.recorded == ["a", "b", "a"]


def test_read_whose_record_failed_is_recorded_at_the_next_attempt() -> None:
    days = Days()
    reads = DailyReads(lambda: days.day)

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        reads.record_once("a", fail)
    days.read(reads, "a")
    assert days.recorded == ["a"]


def test_read_whose_record_was_committed_after_midnight_is_recorded_again_on_the_new_day() -> None:
    """Another read at midnight begins the new day while this one's record is being committed."""
    days = Days()
    reads = DailyReads(lambda: days.day)

    def record_across_midnight() -> None:
        days.recorded.append("a")
        days.day = TUESDAY
        days.read(reads, "b")

    reads.record_once("a", record_across_midnight)
    days.read(reads, "a")
    days.read(reads, "b")
    assert days.recorded == ["a", "b", "a"]


def test_memory_is_bounded_and_the_oldest_read_is_recorded_again() -> None:
    days = Days()
    reads = DailyReads(lambda: days.day, most=2)
    for what in ("a", "b", "c", "b", "a"):
        days.read(reads, what)
    assert days.recorded == ["a", "b", "c", "a"]
