"""When the directory may have deleted the reply of an employer."""

from __future__ import annotations

import datetime as dt

import pytest

from admin.reconciliation.watch_states import was_left_alone

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def day(number: int) -> dt.datetime:
    return BEGIN + dt.timedelta(days=number)


@pytest.mark.parametrize(
    ("spans", "now", "expected"),
    [
        ([(0, 10)], 9, False),
        ([(0, 10)], 10, True),
        # The second report begins before the first one ends, so the reply always had a report.
        ([(0, 10), (8, 20)], 15, False),
        ([(8, 20), (0, 10)], 15, False),
        ([(0, 10), (8, 20)], 20, True),
        # Between the two there was none.
        ([(0, 10), (12, 20)], 15, True),
        ([(0, 30), (2, 4)], 20, False),
        # Reports that had ended before the reply say nothing.
        ([(-20, -10), (0, 10)], 9, False),
        ([], 3, True),
    ],
)
def test_reply_may_be_deleted_after_a_moment_without_a_report(
    spans: list[tuple[int, int]], now: int, expected: bool
) -> None:
    found = was_left_alone(day(2), [(day(begin), day(end)) for begin, end in spans], day(now))
    assert found is expected
