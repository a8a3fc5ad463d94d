from __future__ import annotations

import pytest

from runtime.messaging.batch_throttle import BatchThrottle


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


def test_throttle_keeps_interval_between_batch_starts(clock: ManualClock) -> None:
    throttle = BatchThrottle(0.5, now=clock.now, sleep=clock.sleep)
    throttle.start()
    clock.time += 0.125  # the batch itself takes part of the interval
    throttle.wait()
    assert clock.slept == [0.375]


def test_batch_after_idle_time_does_not_wait(clock: ManualClock) -> None:
    throttle = BatchThrottle(0.5, now=clock.now, sleep=clock.sleep)
    throttle.start()
    clock.time += 0.5
    throttle.wait()
    assert clock.slept == []


def test_batch_after_full_batch_does_not_wait(clock: ManualClock) -> None:
    throttle = BatchThrottle(0.5, now=clock.now, sleep=clock.sleep)
    throttle.start()
    throttle.start(full=True)
    throttle.wait()
    assert clock.slept == []


def test_another_interval_applies_once(clock: ManualClock) -> None:
    throttle = BatchThrottle(0.5, now=clock.now, sleep=clock.sleep)
    throttle.start(seconds=2)
    throttle.wait()
    throttle.start()
    throttle.wait()
    assert clock.slept == [2, 0.5]
