"""The changes that a second person may have to approve, as values that can be stored and compared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from contracts.canonical import canonical_json
from contracts.codes import ApprovalKind
from contracts.organization import Agreement, Organization, SealingKey
from contracts.records import plain, read
from services.directory.domain.client import Role
from services.directory.domain.client_key import ClientKey


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientIssue:
    """Register a client, or replace its secret and keys. secret_sha256: hexadecimal; empty: keys only.

    expires_at: the end of the secret; None: no end.
    """

    client_id: str
    principal: str
    roles: tuple[Role, ...]
    secret_sha256: str
    keys: tuple[ClientKey, ...] = ()
    expires_at: dt.datetime | None = None

    @property
    def kind(self) -> ApprovalKind:
        """Return whether the client acts for a partner or for the hub's staff."""
        return ApprovalKind.credential if Role.partner in self.roles else ApprovalKind.role

    @property
    def subject(self) -> str:
        """Return the client's id."""
        return self.client_id

    @property
    def concerned(self) -> str:
        """Return the principal that gets the client."""
        return self.principal

    @property
    def partner(self) -> str | None:
        """Return the partner whose client it is."""
        return self.principal if Role.partner in self.roles else None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationChange:
    """A change about one organisation as a whole, which is its subject and reads the notices about it."""

    organization: str

    @property
    def subject(self) -> str:
        """Return the organisation's id."""
        return self.organization

    concerned = subject

    @property
    def partner(self) -> str | None:
        """Return the organisation's id."""
        return self.organization


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChange(OrganizationChange):
    """Replace an organisation's sealing key without proof of the key before it."""

    key: SealingKey
    kind = ApprovalKind.sealing_key


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordChange:
    """Write an organisation's record with members that the network states about it."""

    organization: Organization
    kind = ApprovalKind.vetting

    @property
    def subject(self) -> str:
        """Return the organisation's id."""
        return self.organization.id

    concerned = subject

    @property
    def partner(self) -> str | None:
        """Return the organisation's id."""
        return self.organization.id


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceChange:
    """Approve a service for exactly these sensitive needs."""

    organization: str
    service: str
    needs: tuple[str, ...]
    kind = ApprovalKind.service

    @property
    def subject(self) -> str:
        """Return the ids of organisation and service, with a slash between them."""
        return f"{self.organization}/{self.service}"

    @property
    def concerned(self) -> str:
        """Return the organisation's id."""
        return self.organization

    @property
    def partner(self) -> str | None:
        """Return the organisation's id."""
        return self.organization


@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementChange:
    """Create or replace an agreement. It concerns every party, so none has its notices."""

    agreement: Agreement
    kind = ApprovalKind.agreement
    concerned = ""
    partner = None

    @property
    def subject(self) -> str:
        """Return the agreement's id."""
        return self.agreement.id


@dataclass(frozen=True, kw_only=True, slots=True)
class RootClient(OrganizationChange):
    """Make a client the first one of its organisation."""

    client_id: str
    kind = ApprovalKind.root_client


# A fingerprint is this much of the secret's SHA-256 digest. 64 bits suffice: nobody finds another secret with
# the same ones.
FINGERPRINT_CHARACTERS: Final = 16

Change = ClientIssue | KeyChange | RecordChange | ServiceChange | AgreementChange | RootClient

_CLASSES: Final[Mapping[ApprovalKind, type[Change]]] = {
    ApprovalKind.credential: ClientIssue,
    ApprovalKind.role: ClientIssue,
    ApprovalKind.sealing_key: KeyChange,
    ApprovalKind.vetting: RecordChange,
    ApprovalKind.service: ServiceChange,
    ApprovalKind.agreement: AgreementChange,
    ApprovalKind.root_client: RootClient,
}


def stored(change: Change) -> Mapping[str, Any]:
    """Return the change as JSON."""
    document: Mapping[str, Any] = plain(change)
    return document


def restored(kind: ApprovalKind, document: Mapping[str, Any]) -> Change:
    """Return the change from its JSON."""
    return read(_CLASSES[kind], document)


def shown_change(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON of a change as readers of the request see it: a fingerprint for the digest of a secret.

    The fingerprint is enough to compare the secret with its owner by telephone.
    """
    if "secret_sha256" not in document:
        return document
    shown = {name: value for name, value in document.items() if name != "secret_sha256"}
    return {**shown, "secret_fingerprint": document["secret_sha256"][:FINGERPRINT_CHARACTERS]}


def digest(kind: ApprovalKind, document: Mapping[str, Any], basis: str) -> str:
    """Return the SHA-256 of exactly what is requested, hexadecimal. basis: see `Approval`."""
    return sha256(canonical_json({"kind": kind.value, "change": document, "basis": basis})).hexdigest()
