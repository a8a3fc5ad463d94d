"""The directory's HTTP resources. Lists answer {"items": [...], "next": cursor or null}."""

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
    """RFC 6749 §4.4.3."""
    issued = handlers.tokens.issue(*client_of(request))
    return Response.json({"access_token": issued, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS})


def organizations(handlers: DirectoryHandlers, request: Request) -> Response:
    """Organisations by `kind` and `country`, in the order of their ids."""
    where = {name: request.query_params[name] for name in ("kind", "country") if name in request.query_params}
    if where.get("kind", OrganizationKind.ngo) not in set(OrganizationKind):
        raise Refused("invalid-parameter", "`kind` is not one of the kinds of organisation.")
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
    """One organisation with its services."""
    return _single(handlers.listings.organization(request.path_params["id"]))


def put_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replaces a record. An existing one needs a precondition: see `preconditions.conditional`."""
    document, precondition = conditional(request)
    wanted = admission.organization(document, handlers.clock.now())
    if wanted.id != request.path_params["id"]:
        where = PointerError(pointer="/id", detail="Not the id in the address.")
        raise Refused("invalid-submission", "The record is another organisation's.", errors=[where])
    written = handlers.entries.put_organization(
        _editor(request), wanted, precondition=precondition, named=frozenset(document)
    )
    return _single(written.standing, created=written.created)


def patch_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Changes a part of a record by a JSON merge patch (RFC 7396); needs a precondition."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MERGE_PATCH:
        raise Refused("unsupported-media-type", f"A change of a part of a record is sent as {MERGE_PATCH}.")
    patch, precondition = conditional(request)
    if not isinstance(patch, dict):
        where = PointerError(pointer="", detail="Not an object.")
        raise Refused("invalid-submission", "A change of a record is an object.", errors=[where])
    written = handlers.entries.patch_organization(
        _editor(request),
        request.path_params["id"],
        patch,
        precondition=precondition,
        admit=lambda document: admission.organization(document, handlers.clock.now()),
    )
    return _single(written.standing)


def services(handlers: DirectoryHandlers, request: Request) -> Response:
    """Services on offer, by `need` (or group) and `region` (or country)."""
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
    """Services on offer, once for each area, as HSDS shapes them."""
    return _page(
        request,
        "service_areas",
        (NAME, NAME, NAME),
        handlers.listings.areas,
        lambda offered: (offered.organization, offered.service.id, offered.area),
        hsds.service_at_location,
    )


def taxonomy_terms(request: Request) -> Response:
    """The needs with their labels, as HSDS shapes them."""
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
    """Every agreement, in the order of their ids."""
    return _page(
        request,
        "agreements",
        (NAME,),
        lambda after, limit: handlers.listings.agreements(after[0], limit),
        lambda standing: (standing.entry.id,),
        _rendered,
    )


def post_agreement(handlers: DirectoryHandlers, request: Request) -> Response:
    """Enters an agreement, or replaces the one of that id: that needs a precondition, as an organisation."""
    document, precondition = conditional(request)
    wanted = admission.agreement(document, handlers.clock.now())
    written = handlers.entries.put_agreement(
        _editor(request), wanted, precondition=precondition, named=frozenset(document)
    )
    return _single(written.standing, created=written.created)


def keys(handlers: DirectoryHandlers, request: Request) -> Response:
    """The caller's own sealing key: a list of one, or of none."""
    key = handlers.listings.organization(request.principal.id).entry.sealing_key
    return Response.json({"items": [] if key is None else [key], "next": None})


def post_key(handlers: DirectoryHandlers, request: Request) -> Response:
    """Publishes the caller's sealing key, in place of the one before. A precondition may be given."""
    key = admission.sealing_key(request.json())
    handlers.entries.put_sealing_key(request.principal.id, key, precondition=precondition_of(request))
    return Response.json(key, status=201)


def post_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Makes an OAuth client, or gives an existing one a new secret: that needs a precondition.

    This answer is the only place where its secret is ever shown.
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
    """A page of a list. parts: of a position."""
    limit = limit_of(request.query_params)
    after = position_of(request.query_params, scope, parts) or tuple(part.first for part in parts)
    # one more than asked for, to know whether another page follows
    found = fetch(after, limit + 1)
    shown = found[:limit]
    following = encode_cursor(scope, position(shown[-1])) if len(found) > limit else None
    return Response.json({"items": [render(item) for item in shown], "next": following})


def _code(request: Request, name: str, vocabulary: str) -> str | None:
    code = request.query_params.get(name)
    if code is not None and code not in vocabularies.codes(vocabulary):
        raise Refused("invalid-parameter", f"`{name}` is not a code of the vocabulary '{vocabulary}'.")
    return code
