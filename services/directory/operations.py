"""Declarations of the directory's resources, as the OpenAPI document publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from contracts import vocabularies
from contracts.codes import OrganizationKind
from contracts.organization import Agreement, Organization, SealingKey
from contracts.responses.directory import (
    AccessToken,
    AgreementRecord,
    AmqpPassword,
    ApprovalRecord,
    ClientRecord,
    IssuedClient,
    KeyChallenge,
    KeyPeriod,
    OfferedService,
    OrganizationRecord,
    ServiceAtLocation,
    TaxonomyTerm,
)
from runtime.web.operation import (
    FORM,
    MERGE_PATCH,
    Body,
    DeclaredResponse,
    Operation,
    Parameter,
    one_of,
    page_of,
    record_of,
    text,
)
from runtime.web.parameters import IF_MATCH, IF_NONE_MATCH, ORGANIZATION, PAGED, coded, matching
from services.directory import admission
from services.directory.domain.approval import State
from services.directory.domain.client_key import KeySet

LISTED_ORGANIZATIONS: Final = (
    coded("kind", OrganizationKind, "Only organisations of this kind."),
    matching("country", "^[A-Z]{2}$", "Only organisations of this country (ISO 3166-1 alpha-2)."),
    *PAGED,
)
LISTED_SERVICES: Final = (
    coded("need", vocabularies.codes("needs"), "Only services for this need, or a need of this group."),
    coded("region", vocabularies.codes("regions"), "Only services in this region or country."),
    *PAGED,
)
LISTED_KEYS: Final = (ORGANIZATION,)
LISTED_APPROVALS: Final = (coded("state", State, "Only approvals in this state."), *PAGED)

PROOF: Final = Parameter(
    name="Kopuro-Proof",
    schema={"type": "string"},
    description="A proof by the client's key, as a compact JWS; required on a hub of real people.",
)
# Every change of the directory can meet these.
CHANGING: Final = frozenset(
    {"proof-required", "invalid-proof", "clock-skew", "forbidden", "invalid-parameter"}
)
_CONDITIONAL: Final = frozenset(
    {"precondition-required", "precondition-failed", "conflict", "too-many-open-requests", "not-found"}
)
_ETAG: Final = {"ETag": "The revision of the record, in quotes."}
# Members of a record that was read, beside those that a change can set: it may be sent back as it was read.
_REVISION: Final[Mapping[str, Any]] = {
    "type": "integer",
    "minimum": 0,
    "description": "The revision that was read: it counts as `If-Match`, also beside `If-Match: *`. "
    "A request is refused (422) if its `If-Match` names only other revisions, or if the record must be new.",
}
_SUSPENSION: Final[Mapping[str, Any]] = {"description": "Ignored: only the directory writes it."}
_CURSOR: Final = frozenset({"invalid-cursor"})

_WAITS: Final = record_of(
    ApprovalRecord,
    description="A second person must approve the request.",
    headers={"Location": "The address of the approval."},
)
_SAMPLE_KEY: Final = {
    "kty": "OKP",
    "crv": "X25519",
    "x": "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
    "kid": "xxtMOLsofLAkaKDYcOLfAIbhl2Yy5L8bE6NyTqMKZtg",
}
_ORGANIZATION: Final[Mapping[str, Any]] = {
    "id": "kg.osh-legal-aid",
    "name": "Osh Legal Aid (invented)",
    "kind": "ngo",
    "country": "KG",
    "vetting": "applied",
}
_AGREEMENT: Final[Mapping[str, Any]] = {
    "id": "wages-2026",
    "title": "Wage claims, 2026 (invented)",
    "kind": "network_memorandum",
    "parties": ["*"],
    "disclosure": "standard",
    "effective_from": "2026-01-01",
}


def _change(
    summary: str, responses: Mapping[int, DeclaredResponse], body: Body | None = None, *more: str
) -> Operation:
    return Operation(
        summary=summary,
        body=body,
        headers=(PROOF,),
        responses=responses,
        refusals=CHANGING | _CONDITIONAL | frozenset(more),
    )


def _conditional_change(
    summary: str, responses: Mapping[int, DeclaredResponse], body: Body | None = None, *more: str
) -> Operation:
    """Return a change whose handler reads `If-Match` and `If-None-Match`."""
    return replace(_change(summary, responses, body, *more), headers=(PROOF, IF_MATCH, IF_NONE_MATCH))


TOKEN: Final = Operation(
    summary="Get an access token with the client's secret or a JWT signed by its key (RFC 6749 §4.4)",
    body=Body(
        schema={
            "type": "object",
            "properties": {
                "grant_type": {"const": "client_credentials"},
                "client_id": {"type": "string"},
                "client_secret": {"type": "string"},
                "client_assertion_type": {"type": "string"},
                "client_assertion": {"type": "string"},
            },
            "required": ["grant_type"],
        },
        media_type=FORM,
        examples={"with HTTP Basic": {"grant_type": "client_credentials"}},
    ),
    responses={200: record_of(AccessToken, headers={"Pragma": "`no-cache` (RFC 6749 §5.1)."})},
    refusals=frozenset(
        {
            "invalid-client",
            "clock-skew",
            "invalid-token-request",
            "unsupported-grant-type",
            "invalid-scope",
            "unauthorized-client",
            "too-many-requests",
        }
    ),
    refuses_as_json=True,
)
SERVER_METADATA: Final = Operation(
    summary="Read the metadata of the authorization server (RFC 8414); 404 if the hub has no issuer",
    responses={200: DeclaredResponse(description="The metadata.", schema={"type": "object"})},
    refusals=frozenset({"not-found"}),
)
TOKEN_KEYS: Final = Operation(
    summary="Read the public keys that verify access tokens (RFC 7517)",
    responses={200: text("A JWK set.", "application/jwk-set+json")},
)
ORGANIZATIONS: Final = Operation(
    summary="List the organisations", responses={200: page_of(OrganizationRecord)}, refusals=_CURSOR
)
SHOW_ORGANIZATION: Final = Operation(
    summary="Read one organisation with its services",
    responses={200: record_of(OrganizationRecord, headers=_ETAG)},
)
PUT_ORGANIZATION: Final = _conditional_change(
    "Create or replace an organisation's record",
    {
        200: record_of(OrganizationRecord, description="Replaced.", headers=_ETAG),
        201: record_of(OrganizationRecord, description="Created.", headers=_ETAG),
        202: _WAITS,
    },
    Body(
        record=Organization,
        examples={"an applicant": _ORGANIZATION},
        more={"revision": _REVISION, "suspension": _SUSPENSION},
    ),
    "unknown-organization",
)
PATCH_ORGANIZATION: Final = _conditional_change(
    "Change members of an organisation's record by a JSON merge patch (RFC 7396)",
    {200: record_of(OrganizationRecord, headers=_ETAG), 202: _WAITS},
    Body(
        schema={
            "type": "object",
            "properties": {"revision": _REVISION},
            "description": "Members of an Organization, null to clear one.",
        },
        media_type=MERGE_PATCH,
        examples={"another description": {"description": "Legal help for labour migrants (invented)"}},
    ),
    "unsupported-media-type",
    "unknown-organization",
    "invalid-submission",
)
SUSPEND: Final = _conditional_change(
    "Suspend an organisation at once; a repetition changes nothing",
    {200: record_of(OrganizationRecord, headers=_ETAG)},
    Body(record=admission.SuspensionRequest, examples={"a reason": {"reason": "credentials_stolen"}}),
)
APPROVE_SERVICE: Final = _conditional_change(
    "Approve a service for sensitive needs, in place of an earlier approval",
    {200: record_of(OrganizationRecord, headers=_ETAG), 202: _WAITS},
    Body(record=admission.ServiceApprovalRequest, examples={"one need": {"needs": ["legal.detention"]}}),
)
WITHDRAW_APPROVAL: Final = _conditional_change(
    "Withdraw the approval of a service; a repetition changes nothing",
    {200: record_of(OrganizationRecord, headers=_ETAG)},
    Body(record=admission.ApprovalWithdrawal, examples={"a reason": {"reason": "service_changed"}}),
)
SERVICES: Final = Operation(
    summary="List the services on offer", responses={200: page_of(OfferedService)}, refusals=_CURSOR
)
SERVICE_AT_LOCATIONS: Final = Operation(
    summary="List the services on offer once for each area, as HSDS 3 objects",
    responses={200: page_of(ServiceAtLocation)},
    refusals=_CURSOR,
)
TAXONOMY_TERMS: Final = Operation(
    summary="List the needs with their labels, as HSDS 3 objects",
    responses={200: page_of(TaxonomyTerm)},
    refusals=_CURSOR,
)
AGREEMENTS: Final = Operation(
    summary="List the agreements", responses={200: page_of(AgreementRecord)}, refusals=_CURSOR
)
POST_AGREEMENT: Final = _conditional_change(
    "Create or replace an agreement",
    {
        200: record_of(AgreementRecord, description="Replaced.", headers=_ETAG),
        201: record_of(AgreementRecord, description="Created.", headers=_ETAG),
        202: _WAITS,
    },
    Body(
        record=Agreement,
        examples={"for every vetted organisation": _AGREEMENT},
        more={"revision": _REVISION},
    ),
    "unknown-organization",
)
KEYS: Final = Operation(
    summary="List an organisation's sealing keys, the present one first",
    responses={200: page_of(KeyPeriod)},
)
POST_KEY: Final = _conditional_change(
    "Publish a sealing key",
    {
        201: record_of(SealingKey, description="The key is in force."),
        202: one_of(
            [KeyChallenge, ApprovalRecord],
            description="A challenge to answer, or a request that operators must approve.",
            headers={"Location": "The address to answer at, or that of the approval."},
        ),
    },
    Body(record=admission.KeyRequest, examples={"a public key": _SAMPLE_KEY}),
    "unknown-organization",
)
PROVE_KEY: Final = _change(
    "Replace the caller's sealing key by the answer to its challenge",
    {201: record_of(SealingKey, description="The key is in force.")},
    Body(record=admission.Proof, examples={"an answer": {"answer": "an-invented-answer"}}),
)
CREDENTIALS: Final = Operation(
    summary="List the OAuth clients; a partner sees its own",
    responses={200: page_of(ClientRecord)},
    refusals=_CURSOR,
)
POST_CREDENTIAL: Final = _conditional_change(
    "Create an OAuth client, or replace its secret",
    {
        200: record_of(IssuedClient, description="The secret is replaced.", headers=_ETAG),
        201: record_of(IssuedClient, description="Created.", headers=_ETAG),
        202: _WAITS,
    },
    Body(
        record=admission.CredentialRequest,
        examples={"a partner's": {"principal": "kg.osh-legal-aid", "roles": ["partner"]}},
    ),
    "unknown-organization",
)
DELETE_CREDENTIAL: Final = _change("Revoke a client; a repetition succeeds", {200: record_of(ClientRecord)})
PUT_ROOT_CLIENT: Final = _change(
    "Make a client the first one of its organisation; a repetition changes nothing",
    {200: record_of(ClientRecord), 202: _WAITS},
)
_SAMPLE_DIGEST: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ROTATE_CREDENTIAL: Final = _change(
    "Replace the secret of the client that got the token; the present one is accepted for another day",
    {200: record_of(ClientRecord)},
    Body(record=admission.RotationRequest, examples={"a digest": {"secret_sha256": _SAMPLE_DIGEST}}),
)
_SAMPLE_HASH: Final = "bm9u" + 44 * "A"
AMQP_PASSWORD: Final = Operation(
    summary="Read whether a new password at the partners' broker waits for the gateway",
    responses={200: record_of(AmqpPassword)},
    refusals=frozenset({"not-found"}),
)
POST_AMQP_PASSWORD: Final = _change(
    "Replace the organisation's password at the partners' broker; the present one ends within seconds",
    {202: record_of(AmqpPassword, description="The gateway applies it and closes open connections.")},
    Body(record=admission.AmqpPasswordRequest, examples={"a hash": {"password_hash": _SAMPLE_HASH}}),
)
AMQP_PASSWORD_APPLIED: Final = _change(
    "Report that the partners' broker has a password, as the gateway",
    {200: record_of(AmqpPassword)},
    Body(record=admission.AmqpPasswordRequest, examples={"a hash": {"password_hash": _SAMPLE_HASH}}),
)
PUT_CLIENT_KEYS: Final = _change(
    "Replace the public keys of the client that got the token by a JWK set",
    {200: record_of(ClientRecord)},
    Body(record=KeySet, examples={"no key": {"keys": []}}),
)
REVOKE_TOKENS: Final = _change(
    "Refuse all tokens of a client from now on; it can get new ones", {200: record_of(ClientRecord)}
)
REVOKE_TOKENS_OF_ORGANIZATION: Final = _change(
    "Refuse all tokens of an organisation's clients from now on", {200: page_of(ClientRecord)}
)
APPROVALS: Final = Operation(
    summary="List the approvals, oldest first; a partner sees those about itself",
    responses={200: page_of(ApprovalRecord)},
    refusals=_CURSOR,
)
APPROVAL: Final = Operation(
    summary="Read one approval with exactly what was requested", responses={200: record_of(ApprovalRecord)}
)
APPROVE: Final = _change("Approve a request, as its second person", {200: record_of(ApprovalRecord)})
REFUSE: Final = _change("Refuse a request, or withdraw it as its requester", {200: record_of(ApprovalRecord)})
