"""Long work gives way to other work."""

from __future__ import annotations

import time

import pytest

from runtime import turn


def test_items_are_passed_on_and_turns_end_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(turn, "TURN_SECONDS", 0.001)
    monkeypatch.setattr("runtime.turn.time.sleep", slept.append)
    begun = time.perf_counter()
    passed = []
    for number in turn.in_turns(range(5)):
        passed.append(number)
        while time.perf_counter() < begun + 0.002 * (number + 1):
            pass
    assert passed == [0, 1, 2, 3, 4]
    assert slept == [0, 0, 0, 0, 0]
