"""GET of statistics and of the entries behind a figure: checked parameters in, JSON or CSV out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any, Final

from contracts.errors import Refused
from runtime.web.paging import NUMBER, encode_cursor, limit_of, position_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log.ports import Search
from services.audit.reports.domain.statistics_classes import COMBINED
from services.audit.reports.domain.statistics_counts import DIMENSIONS, MOST_DIMENSIONS, Figure, combined_of
from services.audit.reports.handlers.statistics import Counted, StatisticsHandler
from services.audit.reports.span import span_of

_SCOPE: Final = "statistics"
# Who works with single referrals, and so sees what a small figure tells.
EXACT: Final = frozenset({"auditor", "coordinator"})
WITHHELD: Final = "withheld"
COUNTED: Final = frozenset({"by", "from", "to", "format", "exact"})
BEHIND_A_FIGURE: Final = frozenset({*DIMENSIONS, "from", "to", "after", "limit"})
_VALUE: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def statistics(handler: StatisticsHandler, request: Request) -> Response:
    """`?by=sex,outcome&from=&to=&format=json|csv&exact=true`.

    Raises Refused `invalid-parameter`, and `forbidden` for exact figures where the reader may not have them.
    """
    query = request.query_params
    by = query.get("by", "").split(",")
    if not set(by) <= set(DIMENSIONS) or not 1 <= len(set(by)) == len(by) <= MOST_DIMENSIONS:
        raise Refused("invalid-parameter", f"`by` is one or two of {', '.join(DIMENSIONS)}, with a comma.")
    if query.get("format", "json") not in ("json", "csv"):
        raise Refused("invalid-parameter", "`format` is json or csv.")
    if query.get("exact", "false") not in ("true", "false"):
        raise Refused("invalid-parameter", "`exact` is true or false.")
    exact = query.get("exact") == "true"
    if exact and not request.principal.roles & EXACT:
        raise Refused("forbidden", "Exact figures are for auditors and coordinators.")
    span = span_of(query)
    counted = handler.count(request.principal.id, by, span, exact=exact)
    if query.get("format") == "csv":
        return Response(200, _csv(counted).encode(), {"Content-Type": "text/csv; charset=utf-8"})
    return Response.json(_json(counted, span))


def entries(handler: StatisticsHandler, request: Request) -> Response:
    """`?sex=female&outcome=resolved&from=&to=&after=&limit=`: what a figure was counted from."""
    query = request.query_params
    values = {name: query[name] for name in DIMENSIONS if name in query}
    if not values or not all(_VALUE.fullmatch(value) for value in values.values()):
        raise Refused("invalid-parameter", f"Name a figure by values of {', '.join(DIMENSIONS)}.")
    if COMBINED in values.values():
        raise Refused("invalid-parameter", "`combined` is several classes: name one of them.")
    position = position_of(query, _SCOPE, (NUMBER,))
    referrals, following = handler.entries(
        request.principal.id,
        values,
        span_of(query),
        start=position[0] if position else 0,
        limit=limit_of(query),
    )
    return Response.json(
        {
            "items": [
                {"referral_id": referral.referral_id, "entries": referral.entries} for referral in referrals
            ],
            "next": None if following is None else encode_cursor(_SCOPE, (following,)),
        }
    )


def _json(counted: Counted, span: Search) -> dict[str, Any]:
    made = counted.statistics
    return {
        "by": made.by,
        "from": span.since,
        "to": span.until,
        "unit": made.unit,
        "figures": [_figure(figure) for figure in made.figures],
        "combined": combined_of(made),
        "exact": made.exact,
        "withheld": made.withheld,
        "log_size": counted.size,
    }


def _figure(figure: Figure) -> Mapping[str, Any]:
    return {
        "values": figure.values,
        "count": figure.count,
        "withheld": figure.count is None,
        "answered_median_seconds": figure.median,
        "answered_p90_seconds": figure.ninetieth,
    }


def _csv(counted: Counted) -> str:
    """One row a figure; an empty cell of a dimension is the sum over it. A withheld count is the word."""
    text = io.StringIO()
    writer = csv.writer(text)
    by = counted.statistics.by
    writer.writerow([*by, "count", "answered_median_seconds", "answered_p90_seconds"])
    for figure in counted.statistics.figures:
        values = [figure.values.get(dimension, "") for dimension in by]
        count = WITHHELD if figure.count is None else figure.count
        writer.writerow([*values, count, figure.median, figure.ninetieth])
    return text.getvalue()
