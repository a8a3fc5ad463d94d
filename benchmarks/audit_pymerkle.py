"""Benchmark tasks for pymerkle's SQLite tree, each in its own process.

It stores given bytes as leaves; it neither signs nor commits to content, and has nothing else to find an
entry by. What it has no word for is done in the way nearest to it, and said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pymerkle

from benchmarks.child import serve
from benchmarks.proving import prove_some
from benchmarks.stopwatch import Stopwatch

# As long as an entry of ours.
_LEAF_BYTES: Final = 360


def grow(told: Mapping[str, Any]) -> Mapping[str, float]:
    """As `audit_kopuro.grow`; what lies between the two samples is appended in one go."""
    tree = _tree(told)
    size, sample, batch = int(told["size"]), int(told["sample"]), int(told["batch"])

    def append() -> Stopwatch:
        watch = Stopwatch()
        for _ in range(sample // batch):
            leaves = [os.urandom(_LEAF_BYTES) for _ in range(batch)]
            with watch:
                tree.append_entries(leaves)
        return watch

    empty = append()
    tree.append_entries(os.urandom(_LEAF_BYTES) for _ in range(size - sample))
    full = append()
    tree.close()
    return {
        "empty": sample / empty.seconds,
        "full": sample / full.seconds,
        "empty_cpu_us": 1e6 * empty.cpu / sample,
        "full_cpu_us": 1e6 * full.cpu / sample,
    }


def prove(told: Mapping[str, Any]) -> Mapping[str, float]:
    """Inclusion proofs of entries drawn at random. A second."""
    tree = _tree(told)
    size = tree.get_size()

    def one(index: int) -> None:
        # It counts from one.
        tree.prove_inclusion(index + 1, size)

    return prove_some(one, size=size, **told["proving"])


def verify(told: Mapping[str, Any]) -> Mapping[str, float]:
    """Every stored entry hashed anew, and the root over them compared with the tree's. Seconds."""
    tree = _tree(told)
    known = tree.get_root()
    watch = Stopwatch()
    with watch:
        again = pymerkle.InmemoryTree()
        again.append_entries(_entries(tree))
        holds = again.get_root() == known
    if not holds:
        raise RuntimeError("the entries do not lead to the root")
    return {"seconds": watch.seconds, "cpu": watch.cpu, "entries": tree.get_size()}


def restart(told: Mapping[str, Any]) -> Mapping[str, float]:
    """Opens the tree and computes its root, its nearest to a checkpoint; the caller takes the time."""
    _tree(told).get_root()
    return {}


def _entries(tree: Any) -> Iterator[bytes]:
    for index in range(1, tree.get_size() + 1):
        yield tree.get_entry(index)


def _tree(told: Mapping[str, Any]) -> Any:
    return pymerkle.SqliteTree(str(Path(told["directory"]) / "pymerkle.sqlite"))


if __name__ == "__main__":
    serve({"grow": grow, "prove": prove, "verify": verify, "restart": restart}, sys.argv[1:])
