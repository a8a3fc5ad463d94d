"""Responses that several resources share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from contracts.organization import Agreement, Organization
from contracts.responses.directory import AgreementRecord, OrganizationRecord, Suspension
from contracts.responses.form import Page, extended
from runtime.turn import in_turns
from runtime.web.paging import CursorPart, Scalar, encode_cursor, limit_of, position_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory.domain.amendment import Editor
from services.directory.domain.approval import Approval
from services.directory.domain.client import Role
from services.directory.domain.entry import Standing
from services.directory.handlers import DirectoryHandlers

T = TypeVar("T")


def requested(handlers: DirectoryHandlers, approval: Approval) -> Response:
    """Return 202 with a request that waits for a second person, and its address."""
    return Response.of(
        handlers.approvals.shown(approval),
        status=202,
        headers={"Location": f"/v1/approvals/{approval.id}"},
    )


def editor_of(request: Request) -> Editor:
    """Return the caller as the author of a change."""
    principal = request.principal
    return Editor(id=principal.id, operator=principal.has(Role.operator), client_id=principal.client_id)


def organization_record(
    standing: Standing[Organization], suspension: Suspension | None = None
) -> OrganizationRecord:
    return extended(OrganizationRecord, standing.entry, revision=standing.revision, suspension=suspension)


def agreement_record(standing: Standing[Agreement]) -> AgreementRecord:
    return extended(AgreementRecord, standing.entry, revision=standing.revision)


def single(record: OrganizationRecord | AgreementRecord, *, created: bool = False) -> Response:
    """Return a record with its revision as the ETag. 201 if the request has created it."""
    return Response.of(record, status=201 if created else 200, headers={"ETag": f'"{record.revision}"'})


def page(
    request: Request,
    scope: str,
    parts: Sequence[CursorPart],
    fetch: Callable[[Any, int], Sequence[T]],
    position: Callable[[T], tuple[Scalar, ...]],
    render: Callable[[T], Any],
) -> Page[Any]:
    """Return one page of a list.

    parts: the types of a position's values. Raises Refused for an invalid limit or cursor.
    """
    limit = limit_of(request.query_params)
    after = position_of(request.query_params, scope, parts) or tuple(part.first for part in parts)
    # One more than requested, to know whether another page follows.
    found = fetch(after, limit + 1)
    shown = found[:limit]
    following = encode_cursor(scope, position(shown[-1])) if len(found) > limit else None
    return Page(items=[render(item) for item in in_turns(shown)], next=following)
