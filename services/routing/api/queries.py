"""Replies to the queries of other services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contracts.codes import ReferralStatus
from contracts.errors import Refused
from contracts.queries import (
    EndedQuery,
    OfferQuery,
    PartyQuery,
    PreviewQuery,
    ReferralListQuery,
    ReferralQuery,
    RolesQuery,
    parse_query,
)
from contracts.referral import ReferralFacts
from runtime.web.parameters import invalid_parameter
from services.routing.domain.preview import Preview
from services.routing.handlers.queries import RoutingQueries


def reply_to_query(
    queries: RoutingQueries,
    wire: Mapping[str, Any],
    *,
    preview: Callable[[str, ReferralFacts], Preview] | None = None,
) -> Any:
    """Return the reply to a query of another service. Raises Refused; preview: and what it raises."""
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
        case RolesQuery() as asked:
            return queries.roles(asked.ids, asked.organization)
        case EndedQuery() as asked:
            return queries.ended(asked.ids)
        case PreviewQuery() as asked if preview is not None:
            return preview(asked.sender, asked.facts)
    raise Refused("invalid-parameter", "Routing does not support this query.")


def _status(text: str | None) -> str | None:
    if text is not None and text not in ReferralStatus.__members__:
        raise invalid_parameter("status", "is not a referral status.")
    return text
