"""The directory's HTTP resources. Lists return {"items": [...], "next": cursor or null}."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from contracts import vocabularies
from contracts.answers.directory import (
    AccessToken,
    AgreementRecord,
    ClientRecord,
    IssuedClient,
    KeyChallenge,
    KeyPeriod,
    OfferedService,
    OrganizationRecord,
)
from contracts.answers.form import Page, extended
from contracts.codes import OrganizationKind
from contracts.errors import PointerError, Refused
from contracts.organization import Agreement, Organization
from runtime.access.signer import LIFETIME_SECONDS
from runtime.access.standing import excluded_refusal
from runtime.web.paging import NAME, NUMBER, Part, Scalar, encode_cursor, limit_of, position_of
from runtime.web.parameters import invalid_parameter
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import admission, hsds
from services.directory.client_authentication import (
    PROOF_HEADER,
    SignedAssertion,
    credentials_of,
    provable,
)
from services.directory.domain.amendment import Editor
from services.directory.domain.approval import Approval, Decider, State
from services.directory.domain.client import Client, Role
from services.directory.domain.entry import Standing
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.approvals import Reader
from services.directory.handlers.sealing_keys import Challenged
from services.directory.preconditions import conditional, precondition_of

T = TypeVar("T")

MERGE_PATCH: Final = "application/merge-patch+json"


def token(handlers: DirectoryHandlers, request: Request) -> Response:
    """Issue a token. Source: RFC 6749 §5.1."""
    credentials = credentials_of(request)
    if isinstance(credentials, SignedAssertion):
        issued = handlers.tokens.issue_for(credentials.assertion)
    else:
        issued = handlers.tokens.issue(credentials.client_id, credentials.secret)
    return Response.of(
        AccessToken(
            access_token=issued,
            token_type="Bearer",  # noqa: S106 - the name of a kind of token
            expires_in=LIFETIME_SECONDS,
        ),
        headers={"Pragma": "no-cache"},
    )


def token_keys(handlers: DirectoryHandlers) -> Response:
    """Return the public keys that verify tokens. Source: RFC 7517 §8.5.1."""
    return Response.json(handlers.server.keys(), headers={"Content-Type": "application/jwk-set+json"})


def proved(handlers: DirectoryHandlers, request: Request) -> Request:
    """Return the request once its proof is checked. Every change of the directory passes here.

    Raises Refused `proof-required`, `invalid-proof` and `clock-skew`.
    """
    handlers.proofs.check(request.principal, provable(request), request.headers.get(PROOF_HEADER))
    return request


def organizations(handlers: DirectoryHandlers, request: Request) -> Response:
    """List organisations by `kind` and `country`, ordered by id."""
    where = {name: request.query_params[name] for name in ("kind", "country") if name in request.query_params}
    if where.get("kind", OrganizationKind.ngo) not in set(OrganizationKind):
        raise invalid_parameter("kind", "is not a kind of organisation.")
    if not re.fullmatch("[A-Z]{2}", where.get("country", "KG")):
        raise invalid_parameter("country", "must be an ISO 3166-1 alpha-2 code.")
    return _page(
        request,
        "organizations",
        (NAME,),
        lambda after, limit: handlers.listings.organizations(where, after[0], limit),
        lambda standing: (standing.entry.id,),
        _organization,
    )


def organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one organisation with its services; to an excluded organisation, only its own record."""
    organization_id = request.path_params["id"]
    if request.principal.excluded and request.principal.id != organization_id:
        raise excluded_refusal()
    return _single(_organization(handlers.listings.organization(organization_id)))


def put_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create or replace a record. Replacing needs a precondition: see `preconditions.conditional`.

    202: a second person must approve the request.
    """
    document, precondition = conditional(request)
    wanted = admission.organization(document, handlers.clock.now())
    if wanted.id != request.path_params["id"]:
        where = PointerError(pointer="/id", detail="Must be the id in the URL.")
        raise Refused(
            "invalid-submission", "The id in the record differs from the id in the URL.", errors=[where]
        )
    written = handlers.entries.put_organization(
        _editor(request), wanted, precondition=precondition, named=frozenset(document)
    )
    if isinstance(written, Approval):
        return _requested(handlers, written)
    return _single(_organization(written.standing), created=written.created)


def patch_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Change part of a record by a JSON merge patch (RFC 7396); needs a precondition. 202: as for PUT."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MERGE_PATCH:
        raise Refused("unsupported-media-type", f"The media type of a patch must be {MERGE_PATCH}.")
    patch, precondition = conditional(request)
    if not isinstance(patch, dict):
        where = PointerError(pointer="", detail="Must be an object.")
        raise Refused("invalid-submission", "A patch must be a JSON object.", errors=[where])
    written = handlers.entries.patch_organization(
        _editor(request),
        request.path_params["id"],
        patch,
        precondition=precondition,
        admit=lambda document: admission.organization(document, handlers.clock.now()),
    )
    if isinstance(written, Approval):
        return _requested(handlers, written)
    return _single(_organization(written.standing))


def suspend(handlers: DirectoryHandlers, request: Request) -> Response:
    """Suspend an organisation with a coded reason, at once. A repetition changes nothing."""
    wanted = admission.suspension_request(request.json())
    standing = handlers.suspensions.suspend(
        request.path_params["id"],
        wanted.reason,
        by=request.principal.id,
        precondition=precondition_of(request),
    )
    return _single(_organization(standing))


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
        return _requested(handlers, approved)
    return _single(_organization(approved))


def withdraw_service_approval(handlers: DirectoryHandlers, request: Request) -> Response:
    """Withdraw a service's approval."""
    standing = handlers.service_approvals.withdraw(
        request.principal.id,
        request.path_params["id"],
        request.path_params["service"],
        precondition=precondition_of(request),
    )
    return _single(_organization(standing))


def services(handlers: DirectoryHandlers, request: Request) -> Response:
    """List offered services by `need` (or group) and `region` (or country)."""
    need, region = _code(request, "need", "needs"), _code(request, "region", "regions")
    return _page(
        request,
        "services",
        (NAME, NAME),
        lambda after, limit: handlers.listings.services(need, region, after, limit),
        lambda offered: (offered.organization, offered.service.id),
        lambda offered: extended(OfferedService, offered.service, organization=offered.organization),
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
        _agreement,
    )


def post_agreement(handlers: DirectoryHandlers, request: Request) -> Response:
    """Create or replace an agreement. Replacing needs a precondition. 202: as for PUT of an organisation."""
    document, precondition = conditional(request)
    wanted = admission.agreement(document, handlers.clock.now())
    written = handlers.entries.put_agreement(
        _editor(request), wanted, precondition=precondition, named=frozenset(document)
    )
    if isinstance(written, Approval):
        return _requested(handlers, written)
    return _single(_agreement(written.standing), created=written.created)


def keys(handlers: DirectoryHandlers, request: Request) -> Response:
    """List an organisation's sealing keys, the present one first: each with its time and its manner."""
    organization = request.query_params.get("organization", request.principal.id)
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
        operator=operator,
        without_proof=wanted.approval,
        precondition=precondition_of(request),
    )
    if isinstance(published, Approval):
        return _requested(handlers, published)
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


def credentials(handlers: DirectoryHandlers, request: Request) -> Response:
    """List clients, without secrets: every client for an operator, its own for a partner."""
    own = None if request.principal.has(Role.operator) else request.principal.id
    return _page(
        request,
        "credentials",
        (NAME,),
        lambda after, limit: handlers.credentials.page(own, after[0], limit),
        lambda standing: (standing.entry.id,),
        _client,
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
        return _requested(handlers, issued)
    body = extended(IssuedClient, _client(issued.standing), client_secret=issued.secret)
    etag = {"ETag": f'"{issued.standing.revision}"'}
    return Response.of(body, status=201 if issued.created else 200, headers=etag)


def delete_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Revoke a client: any for an operator, its own for a partner. A repetition succeeds."""
    revoked = handlers.credentials.revoke(
        request.path_params["client_id"],
        by=request.principal.id,
        operator=request.principal.has(Role.operator),
    )
    return Response.of(_client(revoked))


def rotate_credential(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replace the secret of the caller's own client; the present one is accepted for another day."""
    wanted = admission.rotation_request(request.json(), handlers.clock.now())
    rotated = handlers.own_credentials.rotate(
        request.path_params["client_id"],
        wanted.secret_sha256,
        by=request.principal.id,
        expires_at=wanted.expires_at,
    )
    return Response.of(_client(rotated))


def put_client_keys(handlers: DirectoryHandlers, request: Request) -> Response:
    """Replace the public keys of the caller's own client by a JWK set."""
    changed = handlers.own_credentials.replace_keys(
        request.path_params["client_id"], admission.key_set(request.json()), by=request.principal.id
    )
    return Response.of(_client(changed))


def revoke_tokens(handlers: DirectoryHandlers, request: Request) -> Response:
    """Refuse all tokens of a client from now on: of any for an operator, of its own for others."""
    revoked = handlers.own_credentials.revoke_tokens(
        request.path_params["client_id"],
        by=request.principal.id,
        operator=request.principal.has(Role.operator),
    )
    return Response.of(_client(revoked))


def revoke_tokens_of_organization(handlers: DirectoryHandlers, request: Request) -> Response:
    """Refuse all tokens of an organisation's clients from now on."""
    revoked = handlers.own_credentials.revoke_tokens_of(request.path_params["id"], by=request.principal.id)
    return Response.of(Page(items=[_client(standing) for standing in revoked], next=None))


def approvals(handlers: DirectoryHandlers, request: Request) -> Response:
    """List approvals by `state`, oldest first: every one for staff, those about itself for a partner."""
    state = request.query_params.get("state")
    if state is not None and state not in set(State):
        raise invalid_parameter("state", "is not a state of an approval.")
    return _page(
        request,
        "approvals",
        (NAME,),
        lambda after, limit: handlers.approvals.page(
            _reader(request), None if state is None else State(state), after[0], limit
        ),
        lambda approval: (approval.id,),
        handlers.approvals.shown,
    )


def approval(handlers: DirectoryHandlers, request: Request) -> Response:
    """Return one approval with exactly what was requested."""
    found = handlers.approvals.one(request.path_params["id"], _reader(request))
    return Response.of(handlers.approvals.shown(found))


def approve(handlers: DirectoryHandlers, request: Request) -> Response:
    """Let a request take effect, as its second person."""
    decided = handlers.approvals.approve(request.path_params["id"], _decider(request))
    return Response.of(handlers.approvals.shown(decided))


def refuse(handlers: DirectoryHandlers, request: Request) -> Response:
    """End a request without effect; its requester withdraws it in this way."""
    decided = handlers.approvals.refuse(request.path_params["id"], _decider(request))
    return Response.of(handlers.approvals.shown(decided))


def _requested(handlers: DirectoryHandlers, approval: Approval) -> Response:
    return Response.of(
        handlers.approvals.shown(approval),
        status=202,
        headers={"Location": f"/v1/approvals/{approval.id}"},
    )


def _reader(request: Request) -> Reader:
    partner = request.principal.has(Role.partner)
    return Reader(organization=request.principal.id if partner else None)


def _decider(request: Request) -> Decider:
    return Decider(id=request.principal.id, roles=request.principal.roles)


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
        revision=standing.revision,
    )


def _editor(request: Request) -> Editor:
    return Editor(id=request.principal.id, operator=request.principal.has(Role.operator))


def _organization(standing: Standing[Organization]) -> OrganizationRecord:
    return extended(OrganizationRecord, standing.entry, revision=standing.revision)


def _agreement(standing: Standing[Agreement]) -> AgreementRecord:
    return extended(AgreementRecord, standing.entry, revision=standing.revision)


def _single(record: OrganizationRecord | AgreementRecord, *, created: bool = False) -> Response:
    return Response.of(record, status=201 if created else 200, headers={"ETag": f'"{record.revision}"'})


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
    return Response.of(Page(items=[render(item) for item in shown], next=following))


def _code(request: Request, name: str, vocabulary: str) -> str | None:
    code = request.query_params.get(name)
    if code is not None and code not in vocabularies.codes(vocabulary):
        raise invalid_parameter(name, f"is not a code of the vocabulary `{vocabulary}`.")
    return code
