"""Simulations of as many seeds as fit into a test run: earlier failures, a fixed range, random ones."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

from tests.simulation.seeds import failure_of, regressions
from tests.simulation.story import Story

_SECONDS = 12.0
_FIXED = 60


def test_every_seed_keeps_the_invariants() -> None:
    began, first = time.monotonic(), secrets.randbelow(10**9)
    for seed in _seeds(first):
        if seed not in regressions() and seed >= _FIXED and time.monotonic() - began > _SECONDS:
            break
        if failure := failure_of(seed):
            raise AssertionError(
                f"story {seed} fails (`python -m tests.simulation --seed {seed}` tells it again)"
            ) from failure


def _seeds(first: int) -> Iterator[int]:
    yield from regressions()
    yield from range(_FIXED)
    yield from range(first, first + 100_000)


def test_seed_reproduces_its_simulation() -> None:
    def facts() -> list[tuple[str, str]]:
        story = Story(11)
        story.tell()
        return [(s.message.id, s.message.type) for db in story.databases.values() for s in db.said()]

    assert facts() == facts()
