"""Pages of a search at bounded cost, however few entries match.

When two conditions are common but rarely hold together, a page could require a scan of millions of entries.
A page therefore scans a limited number of entries, in steps that let other greenlets run in between. It may
hold fewer entries than requested, or none, although more follow.
"""

from __future__ import annotations

import time
from typing import Final

from runtime.storage.database import Database
from services.audit.log.ports import Log, Search, StoredLeaf

# Takes about ten milliseconds, during which nothing else runs on SQLite.
SCANNED_AT_ONCE: Final = 5_000
FOUND_AT_ONCE: Final = 1_000
PIECES: Final = 20


def search_page(
    database: Database, log: Log, search: Search, *, start: int, stop: int, limit: int
) -> tuple[list[StoredLeaf], int | None]:
    """Return up to `limit` matching leaves of `[start, stop)` and the next start, None at the end."""
    found: list[StoredLeaf] = []
    for _ in range(PIECES):
        # One more than the limit, to know whether another page follows.
        wanted = min(limit + 1 - len(found), FOUND_AT_ONCE)
        with database.read() as transaction:
            some, start = log.search_some(
                transaction, search, start=start, stop=stop, limit=wanted, max_scanned=SCANNED_AT_ONCE
            )
        found += some
        if len(some) == wanted:
            start = some[-1].index + 1
        if len(found) > limit:
            return found[:limit], found[limit - 1].index + 1
        if start >= stop:
            return found, None
        time.sleep(0)
    return found, start
