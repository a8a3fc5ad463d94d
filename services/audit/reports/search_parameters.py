"""Query parameters that several report resources share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from contracts.facts import CATALOGUE
from contracts.rfc3339 import parse_time
from runtime.web.paging import NUMBER, invalid_cursor, position_of
from runtime.web.parameters import invalid_parameter
from services.audit.log.ports import COVER, Search
from services.audit.reports.handlers.history import Position


def position_parameter(query: Mapping[str, str], scope: str) -> Position | None:
    """Return the position in cursor `after`; None if there is no cursor.

    Raises Refused `invalid-parameter`.
    """
    found = position_of(query, scope, (NUMBER, NUMBER))
    if found is None:
        return None
    start, size = found
    if start > size:
        raise invalid_cursor()
    return Position(start=start, size=size)


def require_type(type: str) -> None:
    """Raise Refused `invalid-parameter` unless the log can have entries of this type."""
    if type not in CATALOGUE and type != COVER:
        raise invalid_parameter("type", "must be a fact type such as `kopuro.offer.opened.v1`.")


def time_parameter(query: Mapping[str, str], name: str) -> dt.datetime | None:
    """Return an RFC 3339 time parameter in UTC. Raises Refused `invalid-parameter`."""
    if name not in query:
        return None
    try:
        return parse_time(query[name])
    except ValueError:
        raise invalid_parameter(name, "must be an RFC 3339 time with an offset.") from None


def time_range(query: Mapping[str, str]) -> Search:
    """Return the range of `from` (inclusive) and `to` (exclusive).

    Raises Refused `invalid-parameter`, also if `from` is later than `to`: no entry could match, and an empty
    result would look like an empty log.
    """
    since, until = time_parameter(query, "from"), time_parameter(query, "to")
    if since is not None and until is not None and since > until:
        raise invalid_parameter("from", "must not be later than `to`.")
    return Search(since=since, until=until)
