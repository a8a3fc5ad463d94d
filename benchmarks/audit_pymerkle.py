"""Benchmark tasks for pymerkle's SQLite tree, each in its own process.

pymerkle stores bytes as leaves. It neither signs them nor commits to content, and has no other index. Where
it lacks a function, the task uses the nearest equivalent and its docstring says so.
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

# The size of one of Kopuro's entries.
_LEAF_BYTES: Final = 360


def grow(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Append entries as `audit_kopuro.grow` does; those between the two samples in one call."""
    tree = _tree(options)
    size, sample, batch = int(options["size"]), int(options["sample"]), int(options["batch"])

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


def prove(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Make inclusion proofs of random entries; return proofs a second."""
    tree = _tree(options)
    size = tree.get_size()

    def one(index: int) -> None:
        # pymerkle counts from one.
        tree.prove_inclusion(index + 1, size)

    return prove_some(one, size=size, **options["proving"])


def verify(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Hash every stored entry again and compare the root with the tree's; return seconds."""
    tree = _tree(options)
    known = tree.get_root()
    watch = Stopwatch()
    with watch:
        again = pymerkle.InmemoryTree()
        again.append_entries(_entries(tree))
        holds = again.get_root() == known
    if not holds:
        raise RuntimeError("the entries do not lead to the root")
    return {"seconds": watch.seconds, "cpu": watch.cpu, "entries": tree.get_size()}


def restart(options: Mapping[str, Any]) -> Mapping[str, float]:
    """Open the tree and compute its root, the nearest equivalent to a checkpoint; the caller times it."""
    _tree(options).get_root()
    return {}


def _entries(tree: Any) -> Iterator[bytes]:
    for index in range(1, tree.get_size() + 1):
        yield tree.get_entry(index)


def _tree(options: Mapping[str, Any]) -> Any:
    return pymerkle.SqliteTree(str(Path(options["directory"]) / "pymerkle.sqlite"))


if __name__ == "__main__":
    serve({"grow": grow, "prove": prove, "verify": verify, "restart": restart}, sys.argv[1:])
