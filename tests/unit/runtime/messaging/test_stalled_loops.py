from __future__ import annotations

import pytest

from runtime.messaging.stalled_loops import StalledLoops


class ManualClock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stalled_loops(clock: ManualClock) -> StalledLoops:
    return StalledLoops(clock)


def test_alarm_without_stalled_loop_is_none(stalled_loops: StalledLoops) -> None:
    stalled_loops.resumed("relay")
    assert stalled_loops.alarm() is None
    assert stalled_loops.longest() == 0.0


def test_stall_starts_at_first_failure(stalled_loops: StalledLoops, clock: ManualClock) -> None:
    stalled_loops.stalled("relay", "the confirms did not arrive in time")
    clock.time += 40
    stalled_loops.stalled("relay", "the broker cannot be reached")
    clock.time += 2
    assert stalled_loops.alarm() == "relay paused for 42 s: the broker cannot be reached"
    assert stalled_loops.longest() == 42.0


def test_alarm_lists_longest_stall_first(stalled_loops: StalledLoops, clock: ManualClock) -> None:
    stalled_loops.stalled("relay", "A")
    clock.time += 5
    stalled_loops.stalled("consumer of q", "B")
    assert stalled_loops.alarm() == "relay paused for 5 s: A; consumer of q paused for 0 s: B"
    stalled_loops.resumed("relay")
    assert stalled_loops.alarm() == "consumer of q paused for 0 s: B"
    assert stalled_loops.longest() == 0.0
    clock.time += 1
    assert stalled_loops.longest() == 1.0


def test_stall_after_resuming_is_counted_from_zero(stalled_loops: StalledLoops, clock: ManualClock) -> None:
    stalled_loops.stalled("relay", "A")
    clock.time += 5
    stalled_loops.resumed("relay")
    stalled_loops.stalled("relay", "A")
    clock.time += 1
    assert stalled_loops.longest() == 1.0
