from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.facts import OfferOpened, ReferralProgressed
from services.delivery.webhooks.domain.retries import JITTER, SENT_FOR, Haste, haste_of, next_attempt

START = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


def _schedule(haste: Haste, until: dt.timedelta, *, chance: float = 0, takes: float = 0) -> list[float]:
    """Return the seconds at which attempts that fail after `takes` seconds start."""
    starts, attempts, due = [], 0, START
    while due is not None:
        starts.append((due - START).total_seconds())
        attempts += 1
        ended = due + dt.timedelta(seconds=takes)
        following = next_attempt(
            haste, attempts=attempts, started_at=due, now=ended, until=START + until, chance=chance
        )
        if following is None:
            return starts
        due = following
    return starts


def test_emergency_is_sent_at_0_5_30_and_120_seconds_and_to_its_deadline() -> None:
    schedule = _schedule(Haste.emergency, dt.timedelta(minutes=10))
    assert schedule == [0, 5, 30, 120, 240, 360, 480, 600]


def test_other_messages_are_sent_over_days() -> None:
    schedule = _schedule(Haste.other, SENT_FOR)
    assert schedule[:6] == [0, 5, 60, 300, 1_800, 7_200]
    assert len(schedule) < 20
    assert schedule[-1] > dt.timedelta(days=4).total_seconds()


@pytest.mark.parametrize("haste", Haste)
@given(
    chance=st.floats(0, 1),
    takes=st.floats(0, 15),
    minutes=st.integers(1, 120),
)
def test_attempts_never_start_after_the_limit_and_spread_by_the_jitter_alone(
    haste: Haste, chance: float, takes: float, minutes: int
) -> None:
    until = dt.timedelta(minutes=minutes)
    schedule = _schedule(haste, until, chance=chance, takes=takes)
    assert schedule[-1] <= until.total_seconds()
    gaps = [later - earlier for earlier, later in pairwise(schedule)]
    plain = _schedule(haste, until * 2)
    for gap, start, following in zip(gaps, plain, plain[1:], strict=False):
        expected = max(following - start, takes + 1)
        assert expected - 1e-3 <= gap <= max((following - start) * (1 + JITTER), takes + 1) + 1e-3


def test_haste_depends_on_type_and_urgency() -> None:
    assert haste_of(OfferOpened.type, "emergency") is Haste.emergency
    assert haste_of(OfferOpened.type, "routine") is Haste.offer
    assert haste_of(ReferralProgressed.type, None) is Haste.other
