"""Periods and sizes of publications follow from the rate alone."""

from __future__ import annotations

import datetime as dt

import pytest

from services.audit.log.domain.cover_rate import CoverRate

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("per_minute", "seconds", "entries"),
    [
        (1, 30, 1),
        (10, 30, 5),
        (20, 30, 10),
        (30, 20, 10),
        (60, 10, 10),
        (70, 10, 12),
        (600, 1, 10),
        (9999, 1, 167),
    ],
)
def test_rate_determines_period_and_entries(per_minute: int, seconds: int, entries: int) -> None:
    rate = CoverRate(per_minute=per_minute)
    assert (rate.seconds, rate.entries) == (seconds, entries)


def test_every_rate_is_reached_by_periods_that_divide_a_minute() -> None:
    for per_minute in range(1, 10_000):
        rate = CoverRate(per_minute=per_minute)
        assert 60 % rate.seconds == 0
        assert rate.entries * 60 >= per_minute * rate.seconds
        assert rate.entries >= 10 or rate.seconds == 30


@pytest.mark.parametrize(("waiting", "missing"), [(0, 10), (1, 9), (9, 1), (10, 10), (13, 7), (20, 10)])
def test_publication_is_filled_to_a_multiple_and_ends_with_cover(waiting: int, missing: int) -> None:
    assert CoverRate(per_minute=60).missing(waiting) == missing


def test_periods_begin_at_whole_multiples_of_their_length() -> None:
    rate = CoverRate(per_minute=60)
    first = rate.period(NOON)
    seconds = (0, 9.999, 10, 19, 20, 60)
    found = [rate.period(NOON + dt.timedelta(seconds=second)) - first for second in seconds]
    assert found == [0, 0, 1, 1, 2, 6]
