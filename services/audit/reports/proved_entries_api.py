"""The resource of the entries that prove a statement."""

from __future__ import annotations

import re
from typing import Final

from contracts.identifiers import UUID_PATTERN
from contracts.responses.history import ProvedEntries as ProvedEntriesResponse
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.reports.bundle_file import entry_document
from services.audit.reports.handlers.proved_entries import ProvedEntries

MOST: Final = 100
_MESSAGE: Final = re.compile(UUID_PATTERN)


def entries(proved: ProvedEntries, request: Request, oversight: frozenset[str]) -> Response:
    """`GET /v1/entries?message=<id>,<id>`; without messages, only the checkpoint.

    oversight: the roles that read the statements of everybody.
    """
    named = request.query_params.get("message")
    messages = [] if named is None else named.split(",")
    if len(messages) > MOST or not all(map(_MESSAGE.fullmatch, messages)):
        raise invalid_parameter("message", f"must be the ids of up to {MOST} messages, separated by commas.")
    principal = request.principal
    found = proved.of(messages, None if not principal.roles.isdisjoint(oversight) else principal.id)
    return Response.of(
        ProvedEntriesResponse(
            origin=found.published.checkpoint.origin,
            log_key=found.log_key,
            checkpoint=found.published.note.decode(),
            entries=tuple(entry_document(one) for one in found.entries),
        )
    )
