from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from runtime import garbage_collection


@pytest.fixture(autouse=True)
def restored_collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Node:
    """References itself, so that only the garbage collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def test_frozen_objects_are_not_collected_again() -> None:
    garbage_collection.freeze_gc()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < gc.get_freeze_count() / 10


def test_objects_of_one_batch_trigger_no_collection() -> None:
    garbage_collection.freeze_gc()
    assert gc.get_threshold()[0] > 10_000


def test_cyclic_garbage_is_collected_within_one_threshold_of_allocations() -> None:
    """The finalizer observes without holding a reference.

    Since Python 3.12 the collector runs between two instructions of the running code and no longer inside an
    allocation. A test that called a weak reference to look would itself hold the object whenever
    the collector ran.
    """
    garbage_collection.freeze_gc()
    collected: list[bool] = []
    weakref.finalize(Node(), collected.append, True)
    kept: list[list[int]] = []
    threshold = gc.get_threshold()[0]

    while not collected and len(kept) < 2 * threshold:
        kept.append([])

    assert collected, f"not within {len(kept)} allocations"
    assert len(kept) > threshold / 2


def test_cyclic_garbage_older_than_a_collection_is_collected_in_time() -> None:
    """Garbage that survived a collection before it became garbage, such as a connection."""
    garbage_collection.freeze_gc()
    collected: list[bool] = []
    node = Node()
    weakref.finalize(node, collected.append, True)
    gc.collect(0)
    del node
    kept: list[list[int]] = []
    threshold, rounds, _ = gc.get_threshold()

    while not collected and len(kept) < 2 * threshold * rounds:
        kept.append([])

    assert collected, f"not within {len(kept)} allocations"


def test_cyclic_garbage_does_not_accumulate() -> None:
    """A steady state of a service: cycles come and go, and nothing else is kept."""
    garbage_collection.freeze_gc()
    threshold = gc.get_threshold()[0]
    alive = 0
    most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    for _ in range(3 * threshold):
        weakref.finalize(Node(), gone)
        alive += 1
        most = max(most, alive)

    assert most <= 2 * threshold
