from __future__ import annotations

import pytest

from runtime.messaging.batch_throttle import BatchThrottle


class Hand:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_the_first_batch_does_not_wait(hand: Hand) -> None:
    BatchThrottle(0.5, now=hand.now, sleep=hand.sleep).wait()
    assert hand.slept == []


def test_from_one_beginning_to_the_next_passes_the_pace(hand: Hand) -> None:
    pace = BatchThrottle(0.5, now=hand.now, sleep=hand.sleep)
    pace.start()
    hand.time += 0.125  # the batch itself takes a part of it
    pace.wait()
    assert hand.slept == [0.375]


def test_after_a_quiet_moment_nobody_waits(hand: Hand) -> None:
    pace = BatchThrottle(0.5, now=hand.now, sleep=hand.sleep)
    pace.start()
    hand.time += 0.5
    pace.wait()
    assert hand.slept == []


def test_what_a_full_batch_left_behind_does_not_wait(hand: Hand) -> None:
    pace = BatchThrottle(0.5, now=hand.now, sleep=hand.sleep)
    pace.start()
    pace.start(full=True)
    pace.wait()
    assert hand.slept == []
