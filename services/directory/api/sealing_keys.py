"""Sealing keys."""

from __future__ import annotations

from contracts.errors import PointerError, Refused
from contracts.responses.directory import KeyChallenge, KeyPeriod
from contracts.responses.form import Page
from runtime.web.parameters import organization_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.responses import requested
from services.directory.domain.approval import Approval
from services.directory.domain.client import Role
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.sealing_keys import Challenged
from services.directory.preconditions import precondition_of


def keys(handlers: DirectoryHandlers, request: Request) -> Response:
    """List an organisation's sealing keys, the present one first: each with its time and its manner."""
    organization = organization_of(request.query_params) or request.principal.id
    if organization != request.principal.id and not request.principal.has(Role.operator):
        raise Refused("forbidden", "An organisation may read only the history of its own keys.")
    periods = [
        KeyPeriod(
            key=kept.key,
            since=kept.since,
            until=kept.until,
            manner=kept.manner,
            by=kept.by,
            approved_by=kept.approved_by,
        )
        for kept in handlers.keys.history(organization)
    ]
    return Response.of(Page(items=periods, next=None))


def post_key(handlers: DirectoryHandlers, request: Request) -> Response:
    """Publish a sealing key. 201: in force; 202: a challenge to answer, or a request for approval.

    A precondition is optional.
    """
    key, wanted = admission.key_request(request.json())
    operator = request.principal.has(Role.operator)
    if operator == (wanted.organization is None):
        where = PointerError(pointer="/organization", detail="Only an operator can name the owner, and must.")
        detail = "The owner of the key is missing, or the caller cannot name it."
        raise Refused("invalid-submission", detail, errors=[where])
    published = handlers.keys.publish(
        wanted.organization or request.principal.id,
        key,
        by=request.principal.id,
        client=request.principal.client_id,
        operator=operator,
        without_proof=wanted.approval,
        precondition=precondition_of(request),
    )
    if isinstance(published, Approval):
        return requested(handlers, published)
    if isinstance(published, Challenged):
        challenge = published.challenge
        return Response.of(
            KeyChallenge(
                challenge=challenge.id,
                sealed=published.sealed,
                kid=challenge.key.kid,
                expires_at=challenge.expires_at,
            ),
            status=202,
            headers={"Location": f"/v1/keys/{challenge.id}/prove"},
        )
    return Response.of(published, status=201)


def prove_key(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replace the caller's sealing key by the answer to its challenge."""
    answer = admission.proof(request.json()).answer
    key = handlers.keys.prove(request.principal.id, request.path_params["challenge"], answer)
    return Response.of(key, status=201)
