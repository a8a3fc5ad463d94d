"""The directory's HTTP resources. Lists return {"items": [...], "next": cursor or null}."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from contracts import vocabularies
from contracts.codes import OrganizationKind
from contracts.errors import PointerError, Refused
from contracts.records import plain
from runtime.access.signer import LIFETIME_SECONDS
from runtime.access.standing import excluded_refusal
from runtime.web.paging import NAME, NUMBER, Part, Scalar, encode_cursor, limit_of, position_of
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission, hsds
from services.directory.client_authentication import client_of
from services.directory.domain.amendment import Editor
from services.directory.domain.client import SECRET_BYTES, Role
from services.directory.domain.entry import DirectoryEntry, Standing
from services.directory.handlers import DirectoryHandlers
from services.directory.preconditions import conditional, precondition_of

T = TypeVar("T")

MERGE_PATCH: Final = "application/merge-patch+json"


def token(handlers: DirectoryHandlers, request: Request) -> Response:
    """Issue a token. Source: RFC 6749 §4.4.3."""
    issued = handlers.tokens.issue(*client_of(request))
    return Response.json({"access_token": issued, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS})


def organizations(handlers: DirectoryHandlers, request: Request) -> Response:
    """List organisations by `kind` and `country`, ordered by id."""
    where = {name: request.query_params[name] for name in ("kind", "country") if name in request.query_params}
    if where.get("kind", OrganizationKind.ngo) not in set(OrganizationKind):
        raise Refused("invalid-parameter", "`kind` is not a kind of organisation.")
    if not re.fullmatch("[A-Z]{2}", where.get("country", "KG")):
        raise Refused("invalid-parameter", "`country` must be an ISO 3166-1 alpha-2 code.")
    return _page(
        request,
        "organizations",
        (NAME,),
        lambda after, limit: handlers.listings.organizations(where, after[0], limit),
        lambda standing: (standing.entry.id,),
        _rendered,
    )


def organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one organisation with its services; to an excluded organisation, only its own record."""
    organization_id = request.path_params["id"]
    if request.principal.excluded and request.principal.id != organization_id:
        raise excluded_refusal()
    return _single(handlers.listings.organization(organization_id))


def put_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create or replace a record. Replacing needs a precondition: see `preconditions.conditional`."""
    document, precondition = conditional(request)
    wanted = admission.organization(document, handlers.clock.now())
    if wanted.id != request.path_params["id"]:
        where = PointerError(pointer="/id", detail="Not the id in the URL.")
        raise Refused(
            "invalid-submission", "The id in the record differs from the id in the URL.", errors=[where]
        )
    written = handlers.entries.put_organization(
        _editor(request), wanted, precondition=precondition, named=frozenset(document)
    )
    return _single(written.standing, created=written.created)


def patch_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Change part of a record by a JSON merge patch (RFC 7396); needs a precondition."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MERGE_PATCH:
        raise Refused("unsupported-media-type", f"The media type of a patch must be {MERGE_PATCH}.")
    patch, precondition = conditional(request)
    if not isinstance(patch, dict):
        where = PointerError(pointer="", detail="Not an object.")
        raise Refused("invalid-submission", "A patch must be a JSON object.", errors=[where])
    written = handlers.entries.patch_organization(
        _editor(request),
        request.path_params["id"],
        patch,
        precondition=precondition,
        admit=lambda document: admission.organization(document, handlers.clock.now()),
    )
    return _single(written.standing)


def approve_service(handlers: DirectoryHandlers, request: Request) -> Response:
    """Approve a service for the sensitive needs in the body, in place of an earlier approval."""
    wanted = admission.service_approval_request(request.json())
    written = handlers.service_approvals.approve(
        request.principal.id,
        request.path_params["id"],
        request.path_params["service"],
        wanted.needs,
        precondition=precondition_of(request),
    )
    return _single(written.standing)


def withdraw_service_approval(handlers: DirectoryHandlers, request: Request) -> Response:
    """Withdraw a service's approval."""
    written = handlers.service_approvals.withdraw(
        request.principal.id,
        request.path_params["id"],
        request.path_params["service"],
        precondition=precondition_of(request),
    )
    return _single(written.standing)


def services(handlers: DirectoryHandlers, request: Request) -> Response:
    """List offered services by `need` (or group) and `region` (or country)."""
    need, region = _code(request, "need", "needs"), _code(request, "region", "regions")
    return _page(
        request,
        "services",
        (NAME, NAME),
        lambda after, limit: handlers.listings.services(need, region, after, limit),
        lambda offered: (offered.organization, offered.service.id),
        lambda offered: {**plain(offered.service), "organization": offered.organization},
    )


def service_at_locations(handlers: DirectoryHandlers, request: Request) -> Response:
    """List offered services once for each area, as HSDS objects."""
    return _page(
        request,
        "service_areas",
        (NAME, NAME, NAME),
        handlers.listings.areas,
        lambda offered: (offered.organization, offered.service.id, offered.area),
        hsds.service_at_location,
    )


def taxonomy_terms(request: Request) -> Response:
    """List the needs with their labels, as HSDS objects."""
    terms = list(enumerate(hsds.taxonomy_terms(), start=1))
    return _page(
        request,
        "taxonomy_terms",
        (NUMBER,),
        lambda after, limit: terms[after[0] : after[0] + limit],
        lambda numbered: (numbered[0],),
        lambda numbered: numbered[1],
    )


def agreements(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the agreements, ordered by id."""
    return _page(
        request,
        "agreements",
        (NAME,),
        lambda after, limit: handlers.listings.agreements(after[0], limit),
        lambda standing: (standing.entry.id,),
        _rendered,
    )


def post_agreement(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create or replace an agreement. Replacing needs a precondition."""
    document, precondition = conditional(request)
    wanted = admission.agreement(document, handlers.clock.now())
    written = handlers.entries.put_agreement(
        _editor(request), wanted, precondition=precondition, named=frozenset(document)
    )
    return _single(written.standing, created=written.created)


def keys(handlers: DirectoryHandlers, request: Request) -> Response:
    """List the caller's own sealing key: one item or none."""
    key = handlers.listings.organization(request.principal.id).entry.sealing_key
    return Response.json({"items": [] if key is None else [key], "next": None})


def post_key(handlers: DirectoryHandlers, request: Request) -> Response:
    """Publish or replace the caller's sealing key. A precondition is optional."""
    key = admission.sealing_key(request.json())
    handlers.entries.put_sealing_key(request.principal.id, key, precondition=precondition_of(request))
    return Response.json(key, status=201)


def post_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create an OAuth client, or replace its secret. Replacing needs a precondition.

    The secret is shown only in this response.
    """
    wanted = admission.credential_request(request.json())
    secret = secrets.token_urlsafe(SECRET_BYTES)
    written = handlers.entries.put_client(
        _editor(request),
        client_id=wanted.client_id or wanted.principal,
        principal=wanted.principal,
        roles=wanted.roles,
        secret=secret,
        precondition=precondition_of(request),
    )
    client = written.standing.entry
    body = {
        "client_id": client.id,
        "client_secret": secret,
        "principal": client.principal,
        "roles": client.roles,
        "revision": written.standing.revision,
    }
    etag = {"ETag": f'"{written.standing.revision}"'}
    return Response.json(body, status=201 if written.created else 200, headers=etag)


def _editor(request: Request) -> Editor:
    return Editor(id=request.principal.id, operator=request.principal.has(Role.operator))


def _rendered(standing: Standing[DirectoryEntry]) -> dict[str, Any]:
    return {**plain(standing.entry), "revision": standing.revision}


def _single(standing: Standing[DirectoryEntry], *, created: bool = False) -> Response:
    return Response.json(
        _rendered(standing),
        status=201 if created else 200,
        headers={"ETag": f'"{standing.revision}"'},
    )


def _page(
    request: Request,
    scope: str,
    parts: Sequence[Part],
    fetch: Callable[[Any, int], Sequence[T]],
    position: Callable[[T], tuple[Scalar, ...]],
    render: Callable[[T], Any],
) -> Response:
    """Return one page of a list. parts: the types of a position's values."""
    limit = limit_of(request.query_params)
    after = position_of(request.query_params, scope, parts) or tuple(part.first for part in parts)
    # One more than requested, to know whether another page follows.
    found = fetch(after, limit + 1)
    shown = found[:limit]
    following = encode_cursor(scope, position(shown[-1])) if len(found) > limit else None
    return Response.json({"items": [render(item) for item in shown], "next": following})


def _code(request: Request, name: str, vocabulary: str) -> str | None:
    code = request.query_params.get(name)
    if code is not None and code not in vocabularies.codes(vocabulary):
        raise Refused("invalid-parameter", f"`{name}` is not a code of the vocabulary `{vocabulary}`.")
    return code
