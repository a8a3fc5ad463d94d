"""Refusals of callers that get many wait before they are sent."""

from __future__ import annotations

import threading
import time

from runtime.access.held_refusals import HOLD_ADDRESS_SECONDS, HOLD_SECONDS, HeldRefusals

ADDRESS = "192.0.2.1"


def test_first_refusals_are_sent_at_once_and_later_ones_are_held() -> None:
    held = HeldRefusals(clock=lambda: 0.0)
    assert [held.seconds_for("kg.a", ADDRESS) for _ in range(22)] == [0.0] * 20 + [HOLD_SECONDS] * 2
    assert held.seconds_for("kg.b", ADDRESS) == 0.0


def test_caller_that_waits_is_not_held() -> None:
    now = [0.0]
    held = HeldRefusals(clock=lambda: now[0])
    for _ in range(200):
        now[0] += 3.0
        assert held.seconds_for("kg.a", ADDRESS) == 0.0


def test_refusals_without_a_token_count_for_the_address() -> None:
    held = HeldRefusals(clock=lambda: 0.0)
    assert {held.seconds_for(None, ADDRESS) for _ in range(600)} == {0.0}
    assert held.seconds_for(None, ADDRESS) == HOLD_ADDRESS_SECONDS
    assert held.seconds_for("kg.a", ADDRESS) == 0.0


def test_held_refusals_of_a_caller_are_bounded_and_released_together() -> None:
    held = HeldRefusals(most=2)
    done: list[bool] = []
    waiting = [
        threading.Thread(target=lambda: done.append(held.hold("kg.a", ADDRESS, 3600))) for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
    until = time.monotonic() + 60
    while held.hold("kg.a", ADDRESS, 0) and time.monotonic() < until:
        time.sleep(0.01)
    assert not held.hold("kg.a", ADDRESS, 3600)
    assert not done
    held.release()
    for thread in waiting:
        thread.join(60)
    assert done == [True, True]
    assert held.hold("kg.a", ADDRESS, 3600)


def test_refusals_that_are_held_together_are_sent_apart() -> None:
    drawn = iter((0.0, 1.0))
    held = HeldRefusals(draw=lambda: next(drawn))
    waited: list[float] = []
    held._released.wait = waited.append  # type: ignore[method-assign,assignment]
    assert held.hold("kg.a", ADDRESS, HOLD_SECONDS)
    assert held.hold("kg.a", ADDRESS, HOLD_SECONDS)
    assert waited == [HOLD_SECONDS / 2, HOLD_SECONDS]
