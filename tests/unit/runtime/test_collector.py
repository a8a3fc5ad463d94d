from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from runtime import collector


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Node:
    """Holds itself, so that only the collector can find out that nobody else does."""

    def __init__(self) -> None:
        self.itself = self


def test_what_lives_with_the_process_is_not_looked_at_again() -> None:
    collector.spare()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < gc.get_freeze_count() / 10


def test_a_batch_s_objects_bring_the_collector_round_not_even_once() -> None:
    collector.spare()
    assert gc.get_threshold()[0] > 10_000


def test_garbage_in_cycles_is_found_all_the_same() -> None:
    collector.spare()
    gone = weakref.ref(Node())
    kept: list[list[int]] = []
    for _ in range(200_000):
        kept.append([])
        if gone() is None:
            return
    pytest.fail("the collector did not come round")
