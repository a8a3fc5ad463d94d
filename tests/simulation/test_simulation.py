"""Simulations of as many seeds as fit into a test run: earlier failures, a fixed range, random ones."""

from __future__ import annotations

import secrets
import time

import pytest

from tests.long_run import times
from tests.simulation.seeds import failure_of, regressions
from tests.simulation.story import WIDE, Story

_SECONDS = float(times(3, 10))
_FIXED = times(16, 80)


@pytest.mark.parametrize(
    "seed", dict.fromkeys((*regressions(), *range(_FIXED), *range(WIDE, WIDE + _FIXED // 2)))
)
def test_fixed_seeds_keep_the_invariants(seed: int) -> None:
    _keep_the_invariants(seed)


def test_random_seeds_keep_the_invariants() -> None:
    began, first = time.monotonic(), secrets.randbelow(2 * WIDE)
    for seed in range(first, first + 100_000):
        if time.monotonic() - began > _SECONDS:
            break
        _keep_the_invariants(seed)


def _keep_the_invariants(seed: int) -> None:
    if failure := failure_of(seed):
        raise AssertionError(
            f"story {seed} fails (`python -m tests.simulation --seed {seed}` repeats it)"
        ) from failure


def test_seed_reproduces_its_simulation() -> None:
    def facts() -> list[tuple[str, str]]:
        story = Story(11)
        story.tell()
        return [(s.message.id, s.message.type) for db in story.databases.values() for s in db.said()]

    assert facts() == facts()
