"""Approvals: requests that a second person confirms."""

from __future__ import annotations

from runtime.web.paging import NAME
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory.api.responses import page
from services.directory.domain.approval import Decider, State
from services.directory.domain.client import Role
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.approvals import ApprovalReader


def approvals(handlers: DirectoryHandlers, request: Request) -> Response:
    """List approvals by `state`, oldest first: every one for staff, those about itself for a partner."""
    state = request.query_params.get("state")
    if state is not None and state not in set(State):
        raise invalid_parameter("state", "is not a state of an approval.")
    return Response.of(
        page(
            request,
            "approvals",
            (NAME,),
            lambda after, limit: handlers.approvals.page(
                _reader(request), None if state is None else State(state), after[0], limit
            ),
            lambda approval: (approval.id,),
            handlers.approvals.shown,
        )
    )


def approval(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one approval with exactly what was requested."""
    found = handlers.approvals.one(request.path_params["id"], _reader(request))
    return Response.of(handlers.approvals.shown(found))


def approve(handlers: DirectoryHandlers, request: Request) -> Response:
    """Approve a request, as its second person, so that it takes effect."""
    decided = handlers.approvals.approve(request.path_params["id"], _decider(request))
    return Response.of(handlers.approvals.shown(decided))


def refuse(handlers: DirectoryHandlers, request: Request) -> Response:
    """Refuse a request, or withdraw it as its requester."""
    decided = handlers.approvals.refuse(request.path_params["id"], _decider(request))
    return Response.of(handlers.approvals.shown(decided))


def _reader(request: Request) -> ApprovalReader:
    partner = request.principal.has(Role.partner)
    return ApprovalReader(organization=request.principal.id if partner else None)


def _decider(request: Request) -> Decider:
    principal = request.principal
    return Decider(id=principal.id, roles=principal.roles, client=principal.client_id)
