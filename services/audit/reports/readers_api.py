"""The readers resource: who read the facts of a referral."""

from __future__ import annotations

import re
from typing import Final

from contracts.errors import Refused
from contracts.identifiers import UUID_PATTERN
from runtime.access.reads import Reader
from runtime.web.paging import NUMBER, encode_cursor, limit_of, position_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.reports.handlers.history import History

PARAMETERS: Final = frozenset({"after", "limit"})
_SCOPE: Final = "readers"
_REFERRAL: Final = re.compile(UUID_PATTERN)


def readers(history: History, request: Request, oversight: frozenset[str]) -> Response:
    """Answer `GET /v1/history/{referral_id}/readers?after=&limit=`: the recorded reads, oldest first.

    oversight: the roles that read everything; any other principal reads as a party to the referral. Raises
    Refused `invalid-parameter`, `not-found`, `bundle-too-large`.
    """
    referral_id = request.path_params["referral_id"]
    if not _REFERRAL.fullmatch(referral_id):
        raise Refused("invalid-parameter", "`referral` must be a UUID.")
    limit = limit_of(request.query_params)
    position = position_of(request.query_params, _SCOPE, (NUMBER,))
    items, following = history.readers(
        Reader.of(request.principal),
        referral_id,
        start=position[0] if position else 0,
        limit=limit,
        as_party=request.principal.roles.isdisjoint(oversight),
    )
    cursor = None if following is None else encode_cursor(_SCOPE, (following,))
    return Response.json({"referral_id": referral_id, "items": items, "next": cursor})
