"""OAuth clients and their credentials."""

from __future__ import annotations

from contracts.responses.directory import ClientRecord, IssuedClient
from contracts.responses.form import Page, extended
from runtime.web.paging import NAME
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission
from services.directory.api.responses import page, requested
from services.directory.domain.approval import Approval
from services.directory.domain.client import Client, Role
from services.directory.domain.entry import Standing
from services.directory.handlers import DirectoryHandlers
from services.directory.preconditions import precondition_of


def credentials(handlers: DirectoryHandlers, request: Request) -> Response:
    """List clients, without secrets: every client for an operator, its own for a partner."""
    own = None if request.principal.has(Role.operator) else request.principal.id
    return Response.of(
        page(
            request,
            "credentials",
            (NAME,),
            lambda after, limit: handlers.credentials.page(own, after[0], limit),
            lambda standing: (standing.entry.id,),
            _client,
        )
    )


def post_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create an OAuth client, or replace its secret. Replacing needs a precondition.

    A secret made here is shown only in this response. 202: a second person must approve the request.
    """
    wanted = admission.credential_request(request.json(), handlers.clock.now())
    issued = handlers.credentials.issue(
        request.principal.id,
        client_id=wanted.client_id or wanted.principal,
        principal=wanted.principal,
        roles=wanted.roles,
        secret_sha256=wanted.secret_sha256,
        jwks=wanted.jwks,
        expires_at=wanted.expires_at,
        precondition=precondition_of(request),
    )
    if isinstance(issued, Approval):
        return requested(handlers, issued)
    body = extended(IssuedClient, _client(issued.standing), client_secret=issued.secret)
    etag = {"ETag": f'"{issued.standing.revision}"'}
    return Response.of(body, status=201 if issued.created else 200, headers=etag)


def delete_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Revoke a client: any for an operator, itself and later ones for a partner. A repetition succeeds."""
    revoked = handlers.credentials.revoke(
        request.path_params["client_id"],
        by=request.principal.id,
        client=request.principal.client_id,
        operator=request.principal.has(Role.operator),
    )
    return Response.of(_client(revoked))


def put_root_client(handlers: DirectoryHandlers, request: Request) -> Response:
    """Make a client the first one of its organisation. 202: a second person must approve the request."""
    named = handlers.credentials.name_root(request.path_params["client_id"], by=request.principal.id)
    return requested(handlers, named) if isinstance(named, Approval) else Response.of(_client(named))


def rotate_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replace the secret of the client that got the token; the present one is accepted for another day."""
    wanted = admission.rotation_request(request.json(), handlers.clock.now())
    rotated = handlers.own_credentials.rotate(
        request.path_params["client_id"],
        wanted.secret_sha256,
        by=request.principal,
        expires_at=wanted.expires_at,
    )
    return Response.of(_client(rotated))


def put_client_keys(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replace the public keys of the client that got the token by a JWK set."""
    changed = handlers.own_credentials.replace_keys(
        request.path_params["client_id"], admission.key_set(request.json()), by=request.principal
    )
    return Response.of(_client(changed))


def revoke_tokens(handlers: DirectoryHandlers, request: Request) -> Response:
    """Refuse all tokens of a client from now on: any for an operator, itself and later ones for others."""
    revoked = handlers.own_credentials.revoke_tokens(
        request.path_params["client_id"],
        by=request.principal,
        operator=request.principal.has(Role.operator),
    )
    return Response.of(_client(revoked))


def revoke_tokens_of_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Refuse all tokens of an organisation's clients from now on."""
    revoked = handlers.own_credentials.revoke_tokens_of(request.path_params["id"], by=request.principal.id)
    return Response.of(Page(items=[_client(standing) for standing in revoked], next=None))


def _client(standing: Standing[Client]) -> ClientRecord:
    client = standing.entry
    retiring = client.retiring
    return ClientRecord(
        client_id=client.id,
        principal=client.principal,
        roles=client.roles,
        live=client.live,
        keys=tuple({**key.jwk(), "alg": key.alg, "expires_at": key.expires_at} for key in client.keys),
        has_secret=client.secret_sha256 != "",
        secret_expires_at=client.secret_expires_at,
        previous_secret_until=None if retiring is None else retiring.until,
        root=client.root,
        revision=standing.revision,
    )
