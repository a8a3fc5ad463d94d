from __future__ import annotations

import pytest

from runtime.messaging.pauses import Pauses


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
def pauses(hand: Hand) -> Pauses:
    return Pauses(hand)


def test_nothing_to_tell_while_every_loop_goes_on(pauses: Pauses) -> None:
    pauses.went_on("relay")
    assert pauses.alarm() is None
    assert pauses.longest() == 0.0


def test_a_pause_lasts_from_the_first_vain_try_and_has_the_last_reason(pauses: Pauses, hand: Hand) -> None:
    pauses.paused("relay", "the confirm did not come in time")
    hand.time += 40
    pauses.paused("relay", "the broker cannot be reached")
    hand.time += 2
    assert pauses.alarm() == "relay paused for 42 s: the broker cannot be reached"
    assert pauses.longest() == 42.0


def test_the_first_to_stop_is_told_first(pauses: Pauses, hand: Hand) -> None:
    pauses.paused("relay", "A")
    hand.time += 5
    pauses.paused("consumer of q", "B")
    assert pauses.alarm() == "relay paused for 5 s: A; consumer of q paused for 0 s: B"
    pauses.went_on("relay")
    assert pauses.alarm() == "consumer of q paused for 0 s: B"
    assert pauses.longest() == 0.0
    hand.time += 1
    assert pauses.longest() == 1.0


def test_who_stops_again_is_counted_anew(pauses: Pauses, hand: Hand) -> None:
    pauses.paused("relay", "A")
    hand.time += 5
    pauses.went_on("relay")
    pauses.paused("relay", "A")
    hand.time += 1
    assert pauses.longest() == 1.0
