"""Parameters that several of the history's resources share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from contracts.errors import Refused
from services.audit.domain.search import Search


def only(query: Mapping[str, str], known: Collection[str]) -> None:
    """Raises Refused `invalid-parameter`: a misspelt filter must not show everything instead."""
    if not query.keys() <= set(known):
        names = ", ".join(f"`{name}`" for name in sorted(known)) or "none"
        raise Refused("invalid-parameter", f"The parameters understood here: {names}.")


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
