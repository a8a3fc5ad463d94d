"""Routing's HTTP resources and its replies to other services' queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.codes import ReferralStatus
from contracts.errors import PointerError, Refused
from contracts.facts import CoordinatorReason
from contracts.idempotency_key import HEADER, require_well_formed
from contracts.identifiers import OrganizationId
from contracts.queries import OfferQuery, PartyQuery, ReferralListQuery, ReferralQuery, parse_query
from contracts.records import load
from runtime.access.reads import Read
from runtime.clock import Clock
from runtime.web import paging
from runtime.web.request import Request
from runtime.web.response import Response
from services.routing.domain.view import OVERSIGHT_ROLES
from services.routing.handlers.commands import RoutingCommands
from services.routing.handlers.queries import RoutingQueries

READERS = frozenset({"partner"}) | OVERSIGHT_ROLES
COORDINATORS = frozenset({"coordinator"})

_UNPLACED = "unplaced"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRequest:
    """The body of `POST /v1/coordination/{referral_id}/offer`."""

    organization: OrganizationId


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalRequest:
    """The body of `POST /v1/coordination/{referral_id}/withdraw`.

    organization: the party that the coordinator acts for. reason: a withdrawal code or `consent_revoked`.
    """

    organization: OrganizationId
    reason: CoordinatorReason


def decisions(queries: RoutingQueries, request: Request, clock: Clock) -> Response:
    """`GET /v1/referrals/{id}/decision`. paused: the acceptor and the end of a pause in force, or null."""
    referral_id = request.path_params["id"]
    oversight = bool(request.principal.roles & OVERSIGHT_ROLES)
    found = queries.decisions(referral_id, request.principal.id, oversight=oversight)
    shown = {
        "referral_id": referral_id,
        "decisions": found,
        "paused": queries.pause(referral_id, clock.now()),
    }
    return Response.json(shown).reading(Read.of_one(referral_id))


def unplaced(queries: RoutingQueries, request: Request) -> Response:
    """`GET /v1/coordination/unplaced`."""
    limit = paging.limit_of(request.query_params)
    position = paging.position_of(request.query_params, _UNPLACED, (paging.UUID,))
    items = queries.unplaced(after=position[0] if position else None, limit=limit + 1)
    following = paging.encode_cursor(_UNPLACED, (items[limit - 1]["id"],)) if len(items) > limit else None
    read = Read.of_list([item["id"] for item in items[:limit]], {})
    return Response.json({"items": items[:limit], "next": following}).reading(read)


def place(commands: RoutingCommands, request: Request, clock: Clock) -> Response:
    """`POST /v1/coordination/{referral_id}/offer`."""
    key = request.headers.get(HEADER)
    if key is not None:
        require_well_formed(key)
    wanted = load(PlacementRequest, request.json())
    submission_id = commands.submit_placement(
        request.path_params["id"], wanted.organization, request.principal.id, clock.now(), key=key
    )
    return Response.json({"id": submission_id, "status": "submitted"}, status=202)


def withdraw(commands: RoutingCommands, request: Request, clock: Clock) -> Response:
    """`POST /v1/coordination/{referral_id}/withdraw`."""
    key = request.headers.get(HEADER)
    if key is not None:
        require_well_formed(key)
    wanted = load(WithdrawalRequest, request.json())
    submission_id = commands.submit_withdrawal(
        request.path_params["id"],
        wanted.organization,
        wanted.reason,
        request.principal.id,
        clock.now(),
        key=key,
    )
    return Response.json({"id": submission_id, "status": "submitted"}, status=202)


def answer_question(queries: RoutingQueries, wire: Mapping[str, Any]) -> Any:
    """Return the reply to a query of another service. Raises Refused."""
    match parse_query(wire):
        case ReferralQuery() as asked:
            return queries.referral(asked.id, asked.viewer, oversight=asked.oversight)
        case ReferralListQuery() as asked:
            return queries.referrals(
                asked.viewer,
                oversight=asked.oversight,
                status=_status(asked.status),
                after=asked.after,
                limit=asked.limit,
            )
        case OfferQuery() as asked:
            return queries.offer_parties(asked.id)
        case PartyQuery() as asked:
            return queries.is_party(asked.id, asked.organization)
    raise Refused("invalid-parameter", "Routing does not support this query.")


def _status(text: str | None) -> str | None:
    if text is not None and text not in ReferralStatus.__members__:
        where = PointerError(pointer="/status", detail="Must be a referral status.")
        raise Refused("invalid-parameter", "`status` is not a referral status.", errors=(where,))
    return text
