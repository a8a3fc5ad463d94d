"""Agreements."""

from __future__ import annotations

from runtime.web.paging import NAME
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.responses import agreement_record, editor_of, page, requested, single
from services.directory.domain.approval import Approval
from services.directory.handlers import DirectoryHandlers
from services.directory.preconditions import conditional


def agreements(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the agreements, ordered by id."""
    return Response.of(
        page(
            request,
            "agreements",
            (NAME,),
            lambda after, limit: handlers.listings.agreements(after[0], limit),
            lambda standing: (standing.entry.id,),
            agreement_record,
        )
    )


def post_agreement(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create or replace an agreement. Replacing needs a precondition. 202: as for PUT of an organisation."""
    document, precondition = conditional(request)
    wanted = admission.agreement(document, handlers.clock.now())
    written = handlers.entries.put_agreement(
        editor_of(request), wanted, precondition=precondition, named=frozenset(document)
    )
    if isinstance(written, Approval):
        return requested(handlers, written)
    return single(agreement_record(written.standing), created=written.created)
