"""Index bounds of time ranges for events in any order of arrival."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from services.audit.log.domain.chronology import Chronology

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
TIMES = st.integers(-1000, 1000).map(lambda minutes: NOON + dt.timedelta(minutes=minutes))


@given(st.lists(TIMES, max_size=30), TIMES)
def test_chronology_bounds_contain_every_event_of_the_range(
    times: list[dt.datetime], edge: dt.datetime
) -> None:
    chronology = Chronology()
    latest: list[dt.datetime] = []
    for time in times:
        chronology = chronology.after(time)
        assert chronology.latest is not None
        latest.append(chronology.latest)
    assert latest == sorted(latest)
    beyond = chronology.beyond(edge)
    assert beyond is not None
    for time, reached in zip(times, latest, strict=True):
        if time >= edge:
            assert reached >= edge
        if time < edge:
            assert reached < beyond


def test_chronology_without_late_events_bounds_at_the_time_itself() -> None:
    chronology = Chronology().after(NOON).after(NOON + dt.timedelta(hours=1))
    assert chronology.beyond(NOON) == NOON


def test_chronology_beyond_the_calendar_has_no_bound() -> None:
    chronology = Chronology().after(NOON).after(NOON - dt.timedelta(days=1))
    assert chronology.beyond(dt.datetime.max.replace(tzinfo=dt.UTC)) is None
