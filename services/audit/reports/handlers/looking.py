"""A page of a search, whose cost has a bound however little is found.

Of two conditions that are common each and hardly ever hold together, one page could cost a walk through
millions of entries. So a page looks at so many, in pieces between which others get their turn. It may then
hold fewer entries than were asked for, none even, though more follow.
"""

from __future__ import annotations

import time
from typing import Final

from runtime.storage.database import Database
from services.audit.log.ports import Log, Search, StoredLeaf

# Some ten milliseconds, during which nothing else runs on SQLite.
LOOKED_AT_ONCE: Final = 5_000
FOUND_AT_ONCE: Final = 1_000
PIECES: Final = 20


def look(
    database: Database, log: Log, search: Search, *, start: int, stop: int, limit: int
) -> tuple[list[StoredLeaf], int | None]:
    """Up to `limit` leaves of `[start, stop)` that match, by index, and where to go on; None at the end."""
    found: list[StoredLeaf] = []
    for _ in range(PIECES):
        # One more than is shown, to know whether anything follows.
        wanted = min(limit + 1 - len(found), FOUND_AT_ONCE)
        with database.read() as transaction:
            some, start = log.search_some(
                transaction, search, start=start, stop=stop, limit=wanted, looked=LOOKED_AT_ONCE
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
