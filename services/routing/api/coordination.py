"""Decisions, the coordinators' queues, candidates, and what the network lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from contracts.responses.coordination import (
    CoverageCell,
    Decisions,
    NetworkChange,
    NetworkWish,
    WishList,
)
from contracts.responses.form import Page, extended, record_json
from contracts.vocabularies import rows
from runtime.access.reads import Read
from runtime.clock import Clock
from runtime.storage.columns import microseconds, moment_of
from runtime.web import paging
from runtime.web.parameters import invalid_parameter, organization_of, wants_csv
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.spreadsheet import csv_response
from services.routing.domain.coordination_queue import QueueFilter, QueueKind, QueuePosition
from services.routing.domain.coverage import Coverage, CoverageFilter
from services.routing.domain.report_rows import (
    coverage_rows,
    wish_rows,
)
from services.routing.domain.view import OVERSIGHT_ROLES
from services.routing.handlers.coordination_queries import CoordinationQueries
from services.routing.handlers.network_queries import NetworkQueries
from services.routing.handlers.queries import RoutingQueries
from services.routing.handlers.turns import in_turns

_UNPLACED = "unplaced"
_COVERAGE = "coverage"
# The priority, the turn in microseconds, and the id.
_QUEUE_POSITION = (paging.NUMBER, paging.NUMBER, paging.UUID)


def decisions(queries: RoutingQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/referrals/{id}/decision`. paused: the acceptor and the end of a pause in force, or null.

    A decision may consider hundreds of services, and a referral may have tens of decisions: megabytes of JSON
    together. So other requests run between two candidates, and between two decisions.
    """
    referral_id = request.path_params["id"]
    oversight = bool(request.principal.roles & OVERSIGHT_ROLES)
    found = queries.decisions(referral_id, request.principal.id, oversight=oversight)
    decided: tuple[Any, ...] = tuple(orjson.Fragment(record_json(one)) for one in in_turns(found))
    part_of, parts = queries.split_links(referral_id)
    shown = Decisions(
        referral_id=referral_id,
        decisions=decided,
        paused=queries.pause(referral_id, clock.now()),
        parts=parts,
        part_of=part_of,
    )
    return Response.of(shown).reading(Read.of_one(referral_id))


def unplaced(queries: RoutingQueries, request: Request) -> Response:
    """`GET /v1/coordination/unplaced`."""
    limit = paging.limit_of(request.query_params)
    position = paging.position_of(request.query_params, _UNPLACED, (paging.UUID,))
    items = queries.unplaced(after=position[0] if position else None, limit=limit + 1)
    following = paging.encode_cursor(_UNPLACED, (items[limit - 1].id,)) if len(items) > limit else None
    read = Read.of_list([item.id for item in items[:limit]], {})
    return Response.of(Page(items=items[:limit], next=following)).reading(read)


def queue(queries: CoordinationQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/queue`."""
    query = request.query_params
    kind = _queue_kind(query.get("kind"))
    wanted = QueueFilter(
        region=_code(query, "region", "regions"),
        need=_code(query, "need", "needs"),
        organization=organization_of(query),
    )
    scope = f"q-{kind}"
    limit = paging.limit_of(query)
    cursor = paging.position_of(query, scope, _QUEUE_POSITION)
    after = None
    if cursor is not None:
        priority, turn_at, referral_id = cursor
        after = QueuePosition(priority=priority, turn_at=moment_of(turn_at), referral_id=referral_id)
    items, last = queries.queue(kind, clock.now(), wanted, after=after, limit=limit)
    following = None
    if last is not None:
        position = last.priority, microseconds(last.turn_at), last.referral_id
        following = paging.encode_cursor(scope, position)
    filters = _named(query, "kind", "region", "need", "organization")
    read = Read.of_list([item.id for item in items], filters)
    return Response.of(Page(items=items, next=following)).reading(read)


def wishes(queries: NetworkQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/wishes`. considered: how many unplaced referrals; items: those counted most."""
    query = request.query_params
    wanted = QueueFilter(
        region=_code(query, "region", "regions"),
        need=_code(query, "need", "needs"),
        organization=organization_of(query),
    )
    limit = paging.limit_of(query)
    as_csv = wants_csv(query)
    found, considered = queries.wishes(clock.now(), wanted)
    read = Read.of_figures(_named(query, "region", "need", "organization"))
    if as_csv:
        return csv_response(wish_rows(found[:limit])).reading(read)
    items = tuple(
        NetworkWish(
            changes=tuple(extended(NetworkChange, change) for change in wish.changes),
            referrals=wish.referrals,
            emergencies=wish.emergencies,
        )
        for wish in found[:limit]
    )
    return Response.of(WishList(considered=considered, items=items, next=None)).reading(read)


def coverage(queries: NetworkQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/coverage`. CSV has all cells: a file is not read by pages."""
    query = request.query_params
    lacking = query.get("lacking", "false")
    if lacking not in ("true", "false"):
        raise invalid_parameter("lacking", "must be true or false.")
    wanted = CoverageFilter(
        region=_code(query, "region", "regions"),
        need=_code(query, "need", "needs"),
        language=_code(query, "language", "languages"),
        lacking=lacking == "true",
    )
    read = Read.of_figures(_named(query, "region", "need", "language", "lacking"))
    if wants_csv(query):
        if paged := sorted(query.keys() & {"after", "limit"}):
            raise invalid_parameter(paged[0], "must be absent for CSV, which has all cells.")
        return csv_response(coverage_rows(queries.coverage(clock.now(), wanted))).reading(read)
    limit = paging.limit_of(query)
    after = paging.position_of(query, _COVERAGE, (paging.NAME,) * 3)
    cells = queries.coverage(clock.now(), wanted)
    left = [one for one in cells if after is None or _cell(one) > after]
    following = paging.encode_cursor(_COVERAGE, _cell(left[limit - 1])) if len(left) > limit else None
    cells_shown = [extended(CoverageCell, one) for one in left[:limit]]
    return Response.of(Page(items=cells_shown, next=following)).reading(read)


def _cell(one: Coverage) -> tuple[str, str, str]:
    return one.region, one.need, one.language


def candidates(queries: CoordinationQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/coordination/{referral_id}/candidates`."""
    referral_id = request.path_params["id"]
    organization = organization_of(request.query_params)
    found = queries.candidates(referral_id, organization, clock.now())
    return Response.of(found).reading(Read.of_one(referral_id, _named(request.query_params, "organization")))


def engagements(queries: CoordinationQueries, request: Request) -> Response:
    """`GET /v1/coordination/organizations/{id}/engagements`: numbers only, of referrals by urgency."""
    organization = request.path_params["id"]
    read = Read.of_figures({"organization": organization})
    return Response.of(queries.engagements(organization)).reading(read)


def _queue_kind(text: str | None) -> QueueKind:
    if text is None or text not in QueueKind.__members__:
        raise invalid_parameter("kind", f"must be one of {', '.join(QueueKind)}.")
    return QueueKind(text)


def _named(query: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the named parameters of the query."""
    return {name: query[name] for name in names if name in query}


def _code(query: Mapping[str, str], name: str, vocabulary: str) -> str | None:
    code = query.get(name)
    if code is not None and code not in rows(vocabulary):
        raise invalid_parameter(name, f"must be a code of the vocabulary '{vocabulary}'.")
    return code
