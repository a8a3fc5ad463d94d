"""Response bodies of the directory's resources."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from marshmallow.validate import OneOf

from contracts.codes import ApprovalKind, KeyManner, SuspensionReason
from contracts.identifiers import OrganizationId
from contracts.organization import Agreement, Organization, SealingKey, Service
from contracts.responses.form import OMITTED, Shape, named

_ROLES = ("partner", "coordinator", "auditor", "operator")
_TEXTS = Shape({"type": "object", "additionalProperties": {"type": "string"}})


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessToken:
    """A bearer token (RFC 6749 §5.1). expires_in: seconds."""

    access_token: str
    token_type: Annotated[str, OneOf(("Bearer",))]
    expires_in: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspension:
    """Who suspended an organisation, when and why. reason: null if the change stated none."""

    by: str
    at: dt.datetime
    reason: SuspensionReason | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationRecord(Organization):
    """An organisation as the directory holds it. revision: its ETag without the quotes.

    suspension: only in `GET /v1/organizations/{id}` of a suspended one for coordinators, operators and
    auditors; otherwise null.
    """

    revision: int
    suspension: Suspension | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementRecord(Agreement):
    """An agreement as the directory holds it. revision: its ETag without the quotes."""

    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedService(Service):
    """A service with the organisation that offers it."""

    organization: OrganizationId


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSummary:
    """A `service` of HSDS 3. id: the organisation's id and the service's, with a colon."""

    id: str
    organization_id: str
    name: str
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A `location` of HSDS 3. id: the region's ISO 3166 code; location_type: always `virtual`."""

    id: str
    location_type: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceArea:
    """A `service_area` of HSDS 3. extent: the region's ISO 3166 code."""

    id: str
    service_at_location_id: str
    name: str
    extent: str
    extent_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceAtLocation:
    """A `service_at_location` of HSDS 3: a service in one of the areas that it serves."""

    id: str
    service_id: str
    location_id: str
    service: ServiceSummary
    location: Location
    service_areas: tuple[ServiceArea, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaxonomyTerm:
    """A `taxonomy_term` of HSDS 3: a need. labels: by language, an extension of ours."""

    id: str
    code: str
    name: str
    parent_id: str | None
    taxonomy: str
    language: str
    labels: Annotated[Mapping[str, str], _TEXTS]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPeriod:
    """A sealing key and when it was in force. until: null for the present key. by: who put it there."""

    key: SealingKey
    since: dt.datetime = field(metadata=named("from"))
    until: dt.datetime | None
    manner: KeyManner
    by: str
    approved_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChallenge:
    """A challenge that the present key must answer. sealed: a JWE for that key. kid: of the new key."""

    challenge: str
    sealed: str
    kid: str
    expires_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientRecord:
    """An OAuth client, without its secret. live: whether it may get tokens.

    keys: its public keys (JWK), each with `alg` and `expires_at`. previous_secret_until: until when the
    former secret is accepted too. root: operators have named it the first client of its organisation.
    """

    client_id: str
    principal: str
    roles: tuple[Annotated[str, OneOf(_ROLES)], ...]
    live: bool
    keys: Annotated[tuple[Mapping[str, Any], ...], Shape({"type": "array", "items": {"type": "object"}})] = ()
    has_secret: bool = True
    secret_expires_at: dt.datetime | None = None
    previous_secret_until: dt.datetime | None = None
    root: bool = False
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedClient(ClientRecord):
    """A client that was just issued. client_secret: shown only here, and only if the hub made it."""

    client_secret: str | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class AmqpPassword:
    """An organisation's password at the partners' broker. waits: a new one is not in force there yet.

    password_hash: of the one that waits, shown to the gateway only.
    """

    waits: bool
    password_hash: str | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRecord:
    """A change that needs a second person, or that was decided.

    subject: the client, organisation or service concerned. change: what was requested, with the first 16
    characters of a secret's digest as `secret_fingerprint` in place of the digest; or an empty object once it
    was erased: a request to vet an applicant ended without effect. digest: the SHA-256 of the kind, the whole
    change and the basis, hexadecimal. basis: the state of the record that the request was made on.
    """

    id: str
    kind: ApprovalKind
    subject: str
    organization: str | None
    state: Annotated[str, OneOf(("requested", "granted", "refused", "expired", "stale"))]
    requested_by: str
    requested_at: dt.datetime
    expires_at: dt.datetime
    endorsed_by: str | None
    endorsed_at: dt.datetime | None
    decided_by: str | None
    decided_at: dt.datetime | None
    basis: str
    digest: str
    change: Mapping[str, Any]
