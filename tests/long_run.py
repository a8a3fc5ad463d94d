"""What `make test` takes once and `make test LONG=1` in every combination.

`make test` runs every test, and a sample of its repetitions: each value of each parameter, a part of the
random examples, one of the two databases where the adapters' own tests have compared them already.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Collection, Sequence
from typing import Any

import pytest

LONG = bool(os.environ.get("KOPURO_LONG_TESTS"))

# The suites of the adapters, which compare SQLite and PostgreSQL test by test.
_ON_BOTH_DATABASES = ("tests/storage/", "tests/port_contracts/", "/adapters/", "/test_migrations.py")
# In the names of tests in which several processes or requests write at once. SQLite has one writer, so only
# PostgreSQL shows a lock that is missing.
_AT_ONCE = ("process", "concurrent")


def times(short: int, long: int) -> int:
    """Return how many random examples, seeds or kills this run takes."""
    return long if LONG else short


def combinations(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return every combination of the values in a long run, otherwise the fewest that contain each value."""
    if LONG:
        return list(itertools.product(*axes))
    return [
        tuple(values[at % len(values)] for values in axes) for at in range(max(map(len, axes), default=0))
    ]


def on_other_database(nodeids: Collection[str]) -> set[str]:
    """Return the tests that repeat another one of these on the other database, without the adapters' suites.

    A test in which several write at once (`_AT_ONCE`) repeats nothing.

    The name of the file decides which of the two remains: every service is tested on both, and a file's
    fixtures prepare one of them.
    """
    known = set(nodeids)
    repeated: set[str] = set()
    for nodeid in nodeids:
        twin = nodeid.replace("sqlite", "postgresql")
        if twin == nodeid or twin not in known or any(suite in nodeid for suite in _ON_BOTH_DATABASES):
            continue
        file, _, name = nodeid.partition("::")
        if any(word in name for word in _AT_ONCE):
            continue
        repeated.add((nodeid, twin)[zlib.crc32(file.encode()) % 2])
    return repeated


def left_to_long_run(items: Collection[pytest.Item]) -> list[pytest.Item]:
    """Return the tests that this run omits: the repetitions, and those with the marker `long_run`."""
    if LONG:
        return []
    repeated = on_other_database([item.nodeid for item in items])
    return [item for item in items if item.nodeid in repeated or item.get_closest_marker("long_run")]
