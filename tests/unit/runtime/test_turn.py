"""Long work lets other work run."""

from __future__ import annotations

import pytest

from runtime import turn


def test_items_are_passed_on_and_turns_end_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [0.0], []
    monkeypatch.setattr("runtime.turn.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("runtime.turn.time.sleep", lambda seconds: slept.append((now[0], seconds)))
    passed = []
    for number in turn.in_turns(range(5)):
        passed.append(number)
        now[0] += 0.75 * turn.TURN_SECONDS
    assert passed == [0, 1, 2, 3, 4]
    assert [seconds for _, seconds in slept] == [0, 0]
    assert [round(at / turn.TURN_SECONDS, 2) for at, _ in slept] == [1.5, 3.0]
