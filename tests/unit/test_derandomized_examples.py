"""Examples of derandomised tests depend on nothing but the test."""

from __future__ import annotations

import random
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.support.walks import quarters_of


def test_examples_do_not_depend_on_the_modules_loaded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    @settings(derandomize=True, max_examples=300, database=None)
    @given(st.integers())
    def take(number: int) -> None:
        taken.append(number)

    take()
    before = list(taken)
    taken.clear()
    source = tmp_path / "numbers_of_the_project.py"
    numbers = random.Random(7).sample(range(10**6, 10**9), 200)
    source.write_text(f"NUMBERS = {numbers}\n")
    loaded = types.ModuleType(source.stem)
    loaded.__file__ = str(source)
    monkeypatch.setitem(sys.modules, source.stem, loaded)
    take()
    assert taken == before


class Counter(RuleBasedStateMachine):
    walks: list[tuple[str, int]] = []  # noqa: RUF012

    @rule(number=st.integers(min_value=0, max_value=10**6))
    def count(self, number: int) -> None:
        Counter.walks.append((type(self).__name__, number))


def test_each_quarter_of_a_state_machine_takes_other_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counter, "walks", [])
    for quarter in quarters_of(Counter):
        run_state_machine_as_test(
            quarter,
            settings=settings(derandomize=True, max_examples=5, stateful_step_count=10, database=None),
        )
    by_quarter: dict[str, list[int]] = {}
    for name, number in Counter.walks:
        by_quarter.setdefault(name, []).append(number)
    assert len(by_quarter) == 4
    assert len({tuple(numbers) for numbers in by_quarter.values()}) == 4
