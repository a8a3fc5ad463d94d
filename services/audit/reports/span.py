"""Parameters that several of the history's resources share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from contracts.errors import Refused
from runtime.web.paging import NUMBER, invalid_cursor, position_of
from services.audit.log.ports import Search
from services.audit.reports.handlers.history import Position


def place_of(query: Mapping[str, str], scope: str) -> Position | None:
    """Where a reader goes on, in a tree of which size; None at the beginning. Raises Refused."""
    found = position_of(query, scope, (NUMBER, NUMBER))
    if found is None:
        return None
    start, size = found
    if start > size:
        raise invalid_cursor()
    return Position(start=start, size=size)


def moment_of(query: Mapping[str, str], name: str) -> dt.datetime | None:
    """An RFC 3339 time with its offset, in UTC. Raises Refused `invalid-parameter`."""
    if name not in query:
        return None
    try:
        moment = dt.datetime.fromisoformat(query[name])
        if moment.tzinfo is not None:
            return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise Refused("invalid-parameter", f"`{name}` must be an RFC 3339 time with an offset.")


def span_of(query: Mapping[str, str]) -> Search:
    """`from` (inclusive) and `to` (exclusive). Raises Refused `invalid-parameter`."""
    return Search(since=moment_of(query, "from"), until=moment_of(query, "to"))
