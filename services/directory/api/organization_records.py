"""Organisations and the approvals of their services."""

from __future__ import annotations

import re
from typing import Final

from contracts.codes import OrganizationKind, Vetting
from contracts.errors import PointerError, Refused
from runtime.access.standing import excluded_refusal
from runtime.web.operation import MERGE_PATCH
from runtime.web.paging import NAME
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.responses import editor_of, organization_record, page, requested, single
from services.directory.domain.approval import Approval
from services.directory.domain.client import Role
from services.directory.handlers import DirectoryHandlers
from services.directory.preconditions import conditional, precondition_of

_STAFF: Final = (Role.coordinator, Role.operator, Role.auditor)


def organizations(handlers: DirectoryHandlers, request: Request) -> Response:
    """List organisations by `kind` and `country`, ordered by id."""
    where = {name: request.query_params[name] for name in ("kind", "country") if name in request.query_params}
    if where.get("kind", OrganizationKind.ngo) not in set(OrganizationKind):
        raise invalid_parameter("kind", "is not a kind of organisation.")
    if not re.fullmatch("[A-Z]{2}", where.get("country", "KG")):
        raise invalid_parameter("country", "must be an ISO 3166-1 alpha-2 code.")
    return Response.of(
        page(
            request,
            "organizations",
            (NAME,),
            lambda after, limit: handlers.listings.organizations(where, after[0], limit),
            lambda standing: (standing.entry.id,),
            organization_record,
        )
    )


def organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one organisation with its services; to an excluded organisation, only its own record.

    Coordinators, operators and auditors also see who suspended it, when and why.
    """
    organization_id = request.path_params["id"]
    if request.principal.excluded and request.principal.id != organization_id:
        raise excluded_refusal()
    standing = handlers.listings.organization(organization_id)
    shows_suspension = standing.entry.vetting is Vetting.suspended and any(map(request.principal.has, _STAFF))
    suspension = handlers.listings.suspension(organization_id) if shows_suspension else None
    return single(organization_record(standing, suspension))


def put_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create or replace a record. Replacing needs a precondition: see `preconditions.conditional`.

    202: a second person must approve the request.
    """
    document, precondition = conditional(request)
    if isinstance(document, dict):
        document.pop("suspension", None)  # a part of what was read that only the directory writes
    wanted = admission.organization(document, handlers.clock.now())
    if wanted.id != request.path_params["id"]:
        where = PointerError(pointer="/id", detail="Must be the id in the URL.")
        raise Refused(
            "invalid-submission", "The id in the record differs from the id in the URL.", errors=[where]
        )
    written = handlers.entries.put_organization(
        editor_of(request), wanted, precondition=precondition, named=frozenset(document)
    )
    if isinstance(written, Approval):
        return requested(handlers, written)
    return single(organization_record(written.standing), created=written.created)


def patch_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Change part of a record by a JSON merge patch (RFC 7396); needs a precondition. 202: as for PUT."""
    if not request.headers.get("content-type"):  # any other one was refused before
        raise Refused("unsupported-media-type", f"The media type of a patch must be {MERGE_PATCH}.")
    patch, precondition = conditional(request)
    if not isinstance(patch, dict):
        where = PointerError(pointer="", detail="Must be an object.")
        raise Refused("invalid-submission", "A patch must be a JSON object.", errors=[where])
    written = handlers.entries.patch_organization(
        editor_of(request),
        request.path_params["id"],
        patch,
        precondition=precondition,
        admit=lambda document: admission.organization(document, handlers.clock.now()),
    )
    if isinstance(written, Approval):
        return requested(handlers, written)
    return single(organization_record(written.standing))


def suspend(handlers: DirectoryHandlers, request: Request) -> Response:
    """Suspend an organisation with a coded reason, at once.

    A repetition changes nothing; another reason is a new revision.
    """
    wanted = admission.suspension_request(request.json())
    standing = handlers.suspensions.suspend(
        request.path_params["id"],
        wanted.reason,
        by=request.principal.id,
        precondition=precondition_of(request),
    )
    return single(organization_record(standing))


def approve_service(handlers: DirectoryHandlers, request: Request) -> Response:
    """Approve a service for the sensitive needs in the body, in place of an earlier approval.

    202: as for PUT.
    """
    wanted = admission.service_approval_request(request.json())
    approved = handlers.service_approvals.approve(
        request.principal.id,
        request.path_params["id"],
        request.path_params["service"],
        wanted.needs,
        precondition=precondition_of(request),
    )
    if isinstance(approved, Approval):
        return requested(handlers, approved)
    return single(organization_record(approved))


def withdraw_service_approval(handlers: DirectoryHandlers, request: Request) -> Response:
    """Withdraw a service's approval with a coded reason. A repetition changes nothing."""
    wanted = admission.approval_withdrawal(request.json())
    standing = handlers.service_approvals.withdraw(
        request.principal.id,
        request.path_params["id"],
        request.path_params["service"],
        wanted.reason,
        precondition=precondition_of(request),
    )
    return single(organization_record(standing))
