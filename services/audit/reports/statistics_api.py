"""The statistics resources: tables as JSON or CSV, and the entries behind a figure."""

from __future__ import annotations

from typing import Final

from contracts.errors import PointerError, Refused
from contracts.responses.form import Page
from contracts.responses.history import CountedReferral, StatisticsTable
from contracts.responses.history import Figure as FigureResponse
from runtime.access.reads import Reader
from runtime.web.paging import NUMBER, encode_cursor, limit_of, position_of
from runtime.web.parameters import invalid_parameter, wants_csv
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.spreadsheet import Cell, csv_response
from services.audit.log.ports import Search
from services.audit.reports.domain.statistics_classes import COMBINED
from services.audit.reports.domain.statistics_counts import (
    DIMENSIONS,
    MOST_DIMENSIONS,
    Figure,
    combined_of,
    is_class,
)
from services.audit.reports.handlers.statistics import Counted, StatisticsHandler
from services.audit.reports.search_parameters import time_range

_SCOPE: Final = "statistics"
# These roles work with single referrals, so a small figure tells them nothing new.
EXACT: Final = frozenset({"auditor", "coordinator"})
WITHHELD: Final = "withheld"


def statistics(handler: StatisticsHandler, request: Request) -> Response:
    """Answer `?by=sex,outcome&from=&to=&format=json|csv&exact=true`.

    Raises Refused `invalid-parameter`, and `forbidden` when the reader may not see exact figures.
    """
    query = request.query_params
    by = query.get("by", "").split(",")
    if not set(by) <= set(DIMENSIONS) or not 1 <= len(set(by)) == len(by) <= MOST_DIMENSIONS:
        raise invalid_parameter("by", f"must be one or two of {', '.join(DIMENSIONS)}, separated by a comma.")
    as_csv = wants_csv(query)
    if query.get("exact", "false") not in ("true", "false"):
        raise invalid_parameter("exact", "must be `true` or `false`.")
    exact = query.get("exact") == "true"
    if exact and not request.principal.roles & EXACT:
        raise Refused("forbidden", "Only auditors and coordinators may read exact figures.")
    span = time_range(query)
    counted = handler.count(Reader.of(request.principal), by, span, exact=exact)
    if as_csv:
        return csv_response(_rows(counted))
    return Response.of(_table(counted, span))


def entries(handler: StatisticsHandler, request: Request) -> Response:
    """Answer `?sex=female&outcome=resolved&from=&to=&after=&limit=`: the entries behind a figure."""
    query = request.query_params
    values = {name: query[name] for name in DIMENSIONS if name in query}
    if not values:
        detail = f"Select a figure by a value of at least one of {', '.join(DIMENSIONS)}."
        raise Refused("invalid-parameter", detail)
    if COMBINED in values.values():
        combined = [name for name, value in values.items() if value == COMBINED]
        where = [PointerError(pointer=f"/{name}", detail="Name one class.") for name in combined]
        detail = "`combined` stands for several classes: name one of these instead."
        raise Refused("invalid-parameter", detail, errors=where)
    # An unknown value matches nothing, and would look like a figure of no referrals.
    if wrong := [name for name, value in values.items() if not is_class(name, value)]:
        where = [PointerError(pointer=f"/{name}", detail="Is not a value of a figure.") for name in wrong]
        named = ", ".join(f"`{name}`" for name in wrong)
        detail = f"{named}: no figure has this value. `GET /v1/statistics?by={wrong[0]}` lists the values."
        raise Refused("invalid-parameter", detail, errors=where)
    span = time_range(query)
    position = position_of(query, _SCOPE, (NUMBER,))
    referrals, following = handler.entries(
        Reader.of(request.principal),
        values,
        span,
        start=position[0] if position else 0,
        limit=limit_of(query),
    )
    items = [
        CountedReferral(referral_id=referral.referral_id, entries=tuple(referral.entries))
        for referral in referrals
    ]
    cursor = None if following is None else encode_cursor(_SCOPE, (following,))
    return Response.of(Page(items=items, next=cursor))


def _table(counted: Counted, span: Search) -> StatisticsTable:
    table = counted.statistics
    return StatisticsTable(
        by=table.by,
        since=span.since,
        until=span.until,
        unit=table.unit,
        figures=tuple(map(_figure, table.figures)),
        combined=combined_of(table),
        exact=table.exact,
        withheld=table.withheld,
        log_size=counted.size,
    )


def _figure(figure: Figure) -> FigureResponse:
    return FigureResponse(
        values=figure.values,
        count=figure.count,
        withheld=figure.count is None,
        times_withheld=figure.times_withheld,
        answered_median_seconds=figure.median,
        answered_p90_seconds=figure.ninetieth,
    )


def _rows(counted: Counted) -> list[list[Cell]]:
    """Return one row per figure. An empty dimension cell marks a sum; WITHHELD replaces a withheld value."""
    by = counted.statistics.by
    rows: list[list[Cell]] = [[*by, "count", "answered_median_seconds", "answered_p90_seconds"]]
    for figure in counted.statistics.figures:
        values = [figure.values.get(dimension, "") for dimension in by]
        count = WITHHELD if figure.count is None else figure.count
        times = [WITHHELD] * 2 if figure.times_withheld else [figure.median, figure.ninetieth]
        rows.append([*values, count, *times])
    return rows
