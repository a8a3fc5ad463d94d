from __future__ import annotations

from typing import Any

import pytest

from runtime.messaging.batch_throttle import LONGEST_REST_SECONDS, BatchThrottle


class ManualClock:
    """A clock that `sleep` advances."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_first_batch_does_not_wait(clock: ManualClock) -> None:
    BatchThrottle(0.5, now=clock.now, sleep=clock.sleep).wait()
    assert clock.slept == []


@pytest.fixture
def throttle(clock: ManualClock) -> BatchThrottle:
    return BatchThrottle(0.5, now=clock.now, sleep=clock.sleep)


def batch(throttle: BatchThrottle, clock: ManualClock, *, took: float = 0.0, **end: Any) -> None:
    throttle.begin()
    clock.time += took
    throttle.end(**end)


def test_throttle_keeps_interval_between_batch_starts(throttle: BatchThrottle, clock: ManualClock) -> None:
    batch(throttle, clock, took=0.125)
    throttle.wait()
    assert clock.slept == [0.375]


def test_batch_after_idle_time_does_not_wait(throttle: BatchThrottle, clock: ManualClock) -> None:
    batch(throttle, clock)
    clock.time += 0.5
    throttle.wait()
    assert clock.slept == []


def test_batch_after_full_batch_does_not_wait(throttle: BatchThrottle, clock: ManualClock) -> None:
    batch(throttle, clock, took=2, full=True)
    throttle.wait()
    assert clock.slept == []


def test_another_interval_applies_once(throttle: BatchThrottle, clock: ManualClock) -> None:
    batch(throttle, clock, seconds=2)
    throttle.wait()
    batch(throttle, clock)
    throttle.wait()
    assert clock.slept == [2, 0.5]


@pytest.mark.parametrize(("took", "rest"), [(0.03125, 0.03125), (4.0, LONGEST_REST_SECONDS)])
def test_loop_rests_as_long_as_its_batch_took_within_a_bound(
    clock: ManualClock, took: float, rest: float
) -> None:
    throttle = BatchThrottle(0.015625, now=clock.now, sleep=clock.sleep)
    batch(throttle, clock, took=took)
    throttle.wait()
    assert clock.slept == [pytest.approx(rest)]


def test_batch_that_failed_is_followed_after_the_interval_without_a_rest(
    throttle: BatchThrottle, clock: ManualClock
) -> None:
    throttle.begin()
    clock.time += 0.375
    throttle.wait()
    assert clock.slept == [0.125]


def test_loop_without_an_interval_has_no_rest(clock: ManualClock) -> None:
    throttle = BatchThrottle(0, now=clock.now, sleep=clock.sleep)
    batch(throttle, clock, took=1)
    throttle.wait()
    assert clock.slept == []
