from __future__ import annotations

import pytest

from runtime.messaging.stalled_loops import StalledLoops


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def stalled_loops(hand: Hand) -> StalledLoops:
    return StalledLoops(hand)


def test_nothing_to_tell_while_every_loop_goes_on(stalled_loops: StalledLoops) -> None:
    stalled_loops.resumed("relay")
    assert stalled_loops.alarm() is None
    assert stalled_loops.longest() == 0.0


def test_a_pause_lasts_from_the_first_vain_try_and_has_the_last_reason(
    stalled_loops: StalledLoops, hand: Hand
) -> None:
    stalled_loops.stalled("relay", "the confirms did not arrive in time")
    hand.time += 40
    stalled_loops.stalled("relay", "the broker cannot be reached")
    hand.time += 2
    assert stalled_loops.alarm() == "relay paused for 42 s: the broker cannot be reached"
    assert stalled_loops.longest() == 42.0


def test_the_first_to_stop_is_told_first(stalled_loops: StalledLoops, hand: Hand) -> None:
    stalled_loops.stalled("relay", "A")
    hand.time += 5
    stalled_loops.stalled("consumer of q", "B")
    assert stalled_loops.alarm() == "relay paused for 5 s: A; consumer of q paused for 0 s: B"
    stalled_loops.resumed("relay")
    assert stalled_loops.alarm() == "consumer of q paused for 0 s: B"
    assert stalled_loops.longest() == 0.0
    hand.time += 1
    assert stalled_loops.longest() == 1.0


def test_who_stops_again_is_counted_anew(stalled_loops: StalledLoops, hand: Hand) -> None:
    stalled_loops.stalled("relay", "A")
    hand.time += 5
    stalled_loops.resumed("relay")
    stalled_loops.stalled("relay", "A")
    hand.time += 1
    assert stalled_loops.longest() == 1.0
