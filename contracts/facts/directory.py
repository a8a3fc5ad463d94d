"""The directory's facts: full-state events with the whole record, and the decisions of the hub's staff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.canonical import Count
from contracts.codes import (
    ApprovalEnd,
    ApprovalKind,
    ApprovalRefusal,
    KeyManner,
    SuspensionReason,
    WithdrawalOfApproval,
)
from contracts.facts.fact import Fact, fact
from contracts.identifiers import OrganizationId, Uuid
from contracts.organization import Agreement, Organization


@fact("organization.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationChanged(Fact):
    """The whole current record. A lower revision never overwrites a higher one.

    by: the principal that changed it; None in a snapshot. reason: why the change suspends it, if the
    principal stated it; None for every other change.
    """

    revision: Count
    organization: Organization
    by: str | None = None
    reason: SuspensionReason | None = None


@fact("agreement.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementChanged(Fact):
    """The whole current record. by: the principal that changed it; None in a snapshot."""

    revision: Count
    agreement: Agreement
    by: str | None = None


@fact("token_key.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKeyChanged(Fact):
    """A public Ed25519 key (JWK) that verifies bearer tokens. Source: RFC 8037.

    withdrawn: tokens signed with it are no longer valid.
    """

    revision: Count
    key: Mapping[str, Any]
    withdrawn: bool = False


@fact("replica.requested", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaRequested(Fact):
    """A service without a replica asks the owner to send every record to its queue."""

    queue: str


@fact("replica.completed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaCompleted(Fact):
    """The owner has sent every record for a `replica.requested`. records: their number."""

    queue: str
    records: Count


@fact("client.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ClientChanged(Fact):
    """An OAuth client, without its secret or the secret's digest. live: tokens of the client are valid.

    token_epoch: it grows when the client's tokens are revoked; a token of another epoch is refused.
    not_before: when that was last, in whole seconds, for the notice; None: never. No token is checked against
    it. ended_keys: the thumbprints (RFC 7638) of removed keys; a token that one of them got is refused.
    record_sha256: the digest of the directory's record with its secrets' digests, so that a rewritten record
    differs from the log; None in facts of earlier builds.
    """

    revision: Count
    client_id: str
    principal: str
    roles: tuple[str, ...]
    live: bool
    not_before: dt.datetime | None = None
    token_epoch: Count = 0
    ended_keys: tuple[str, ...] = ()
    record_sha256: str | None = None


@fact("credential.issued", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialIssued(Fact):
    """A client was registered, or its secret or keys replaced.

    organization: the principal, if it is a partner. by: the requester; approved_by: the second person, None
    where one person decides. keys: the ids (`kid`) of the public keys. previous_until: until when the
    secret before is accepted too; None: it is not. root: operators have named the client the first one of its
    organisation; its secret and keys stay.
    """

    client_id: str
    principal: str
    roles: tuple[str, ...]
    by: str
    approved_by: str | None = None
    organization: OrganizationId | None = None
    replaced: bool = False
    keys: tuple[str, ...] = ()
    previous_until: dt.datetime | None = None
    root: bool = False


@fact("credential.tokens_revoked", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialTokensRevoked(Fact):
    """A client's tokens issued before `not_before` are refused; the client itself stays live."""

    client_id: str
    principal: str
    not_before: dt.datetime
    by: str
    organization: OrganizationId | None = None


@fact("credential.expiring", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialExpiring(Fact):
    """A client's secret or public key expires. credential: `secret`, or the key's id. days: 30, 7 or 1."""

    client_id: str
    principal: str
    credential: str
    expires_at: dt.datetime
    days: Count
    organization: OrganizationId | None = None


@fact("access.refused", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class AccessRefused(Fact):
    """Attempts to get a token as a client failed. attempts: their number from `since` to `until`."""

    client_id: str
    principal: str
    attempts: Count
    since: dt.datetime
    until: dt.datetime
    organization: OrganizationId | None = None


@fact("credential.revoked", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialRevoked(Fact):
    """A client is no longer live. organization: the principal, if it is a partner."""

    client_id: str
    principal: str
    by: str
    organization: OrganizationId | None = None


@fact("role.granted", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class RoleGranted(Fact):
    """A member of the hub's staff got a role. by, approved_by: see `CredentialIssued`."""

    principal: str
    role: str
    client_id: str
    by: str
    approved_by: str | None = None


@fact("approval.requested", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRequested(Fact):
    """A principal requested a decision that a second person must confirm.

    subject: the client, organisation or service concerned; organization: the partner concerned. digest: the
    SHA-256 of what was requested, hexadecimal.
    """

    id: Uuid
    kind: ApprovalKind
    subject: str
    requested_by: str
    expires_at: dt.datetime
    digest: str
    organization: OrganizationId | None = None


@fact("approval.granted", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalGranted(Fact):
    """A second person confirmed the request. digest: of exactly what took effect.

    endorsed_by: the first of two members of the staff, for a request that a partner made itself.
    """

    id: Uuid
    kind: ApprovalKind
    subject: str
    requested_by: str
    by: str
    digest: str
    organization: OrganizationId | None = None
    endorsed_by: str | None = None


@fact("approval.endorsed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalEndorsed(Fact):
    """The first of two members of the staff approved a request that a partner made itself."""

    id: Uuid
    kind: ApprovalKind
    subject: str
    requested_by: str
    by: str
    digest: str
    organization: OrganizationId | None = None


@fact("approval.refused", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRefused(Fact):
    """The request ended without effect. by: the principal that refused it, or that found it out of date."""

    id: Uuid
    kind: ApprovalKind
    subject: str
    requested_by: str
    by: str
    reason: ApprovalRefusal
    organization: OrganizationId | None = None


@fact("service_approval.ended", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceApprovalEnded(Fact):
    """A service is no longer approved for these sensitive needs, and is not asked about them.

    approved_needs: all for which it was approved. by: the principal whose change ended the approval.
    withdrawn_for: why the network withdrew it; None unless it did, and in facts of earlier builds.
    """

    organization: OrganizationId
    service: str
    approved_needs: tuple[str, ...]
    reason: ApprovalEnd
    by: str
    withdrawn_for: WithdrawalOfApproval | None = None


@fact("sealing_key.replaced", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class SealingKeyReplaced(Fact):
    """An organisation's sealing key changed. kid, previous: RFC 7638 thumbprints; previous: None at first.

    by: the principal that asked for it; approved_by: the second person, if there was one.
    """

    organization: OrganizationId
    kid: str
    manner: KeyManner
    by: str
    previous: str | None = None
    approved_by: str | None = None
