"""Validation of JSON records: the contract's schema, and rules that a schema cannot express."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow import ValidationError
from marshmallow.validate import Length

from contracts.application import ApplicationRejection, ApplicationRequest, ApplicationVetting
from contracts.codes import SuspensionReason, WithdrawalOfApproval
from contracts.employer import EmployerReport, ReplyText
from contracts.errors import PointerError, Refused
from contracts.identifiers import ORGANIZATION_PATTERN, NeedCode, OrganizationId, Pattern
from contracts.moments import Within
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization, SealingKey
from contracts.records import load
from services.directory.domain.client import (
    AmqpPasswordHash,
    Client,
    ClientId,
    ClientSecret,
    PrincipalId,
    Role,
    Roles,
    SecretDigest,
    client,
    digest,
    is_known_secret,
)
from services.directory.domain.client_key import KeySet
from services.directory.domain.sealing import check_sealing_key

ExpiryMoment = Annotated[dt.datetime, Within(dt.date(2000, 1, 1))]
_organization_id = Pattern(ORGANIZATION_PATTERN, error="A partner must be an organisation id.")


def _rules_of_a_client(data: Mapping[str, Any]) -> None:
    if len(set(data["roles"])) != 1:
        raise ValidationError({"roles": ["A principal has exactly one role."]})
    if Role.partner in data["roles"]:
        try:
            _organization_id(data["principal"])
        except ValidationError as error:
            raise ValidationError({"principal": error.messages}) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """A client with its secret: a record of a credentials file."""

    client_id: ClientId
    client_secret: ClientSecret
    principal: PrincipalId
    roles: Roles

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Raises ValidationError also for a secret that everybody knows."""
        _rules_of_a_client(data)
        if is_known_secret(digest(data["client_secret"]), data["client_id"], data["principal"]):
            raise ValidationError({"client_secret": ["Must not be the client's own name."]})

    def client(self) -> Client:
        """Return the client to store."""
        return client(
            client_id=self.client_id, principal=self.principal, roles=self.roles, secret=self.client_secret
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialRequest:
    """The body of `POST /v1/credentials`. client_id: defaults to the principal's id.

    secret_sha256: of a secret that the client's owner made, so that the hub never sees it. jwks: public keys
    with which the client signs; a client with keys needs no secret. expires_at: the end of the secret.
    """

    principal: PrincipalId
    roles: Roles
    client_id: ClientId | None = None
    secret_sha256: SecretDigest | None = None
    jwks: KeySet | None = None
    expires_at: ExpiryMoment | None = None

    rules = staticmethod(_rules_of_a_client)


@dataclass(frozen=True, kw_only=True, slots=True)
class RotationRequest:
    """The body of `POST /v1/credentials/{client_id}/rotate`. expires_at: the end of the new secret."""

    secret_sha256: SecretDigest
    expires_at: ExpiryMoment | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AmqpPasswordRequest:
    """The body of `POST /v1/amqp-password`: the password as RabbitMQ stores it (salted SHA-256)."""

    password_hash: AmqpPasswordHash


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceApprovalRequest:
    """The body of `POST /v1/organizations/{id}/services/{service}/approval`: the needs to approve."""

    needs: Annotated[tuple[NeedCode, ...], Length(min=1, max=60)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SuspensionRequest:
    """The body of `POST /v1/organizations/{id}/suspend`."""

    reason: SuspensionReason


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalWithdrawal:
    """The body of `POST /v1/organizations/{id}/services/{service}/approval/withdraw`."""

    reason: WithdrawalOfApproval


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRequest:
    """The body of `POST /v1/keys`: a public key, and how it is to replace the present one.

    approval: the present key is lost, so two operators must approve. organization: for operators only, the
    owner of the key.
    """

    kty: str
    crv: str
    x: str
    kid: str
    approval: bool = False
    organization: OrganizationId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """The body of `POST /v1/keys/<challenge>/prove`: the answer that the old key opened."""

    answer: Annotated[str, Length(min=1, max=200)]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchChoice:
    """The body of `PUT /v1/watch/opt-in`."""

    receives: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EmployerReplyText:
    """The body of `PUT /v1/watched/{id}/reply`: what the employer answers, in the open."""

    text: ReplyText


def organization(data: object, now: dt.datetime) -> Organization:
    """Return a valid organisation. Raises Refused `invalid-submission` with pointers.

    now: past dates in the record must not be later.
    """
    admitted = load(Organization, data, now=now)
    if admitted.sealing_key is not None:
        check_sealing_key(admitted.sealing_key, "/sealing_key")
    return admitted


def agreement(data: object, now: dt.datetime) -> Agreement:
    """Return a valid record; see `organization`. An agreement of one party with itself allows nothing."""
    admitted = load(Agreement, data, now=now)
    if len(set(admitted.parties)) == 1 and admitted.parties[0] != EVERY_VETTED_ORGANIZATION:
        only = f'{admitted.parties[0]} is the only party: name another one, or "{EVERY_VETTED_ORGANIZATION}".'
        where = PointerError(pointer="/parties", detail=only)
        raise Refused("invalid-submission", "An agreement has at least two parties.", errors=[where])
    return admitted


def sealing_key(data: object) -> SealingKey:
    """Return a valid record; see `organization`."""
    key = load(SealingKey, data)
    check_sealing_key(key)
    return key


def service_approval_request(data: object) -> ServiceApprovalRequest:
    """Return a valid record; see `organization`."""
    return load(ServiceApprovalRequest, data)


def suspension_request(data: object) -> SuspensionRequest:
    """Return a valid record; see `organization`."""
    return load(SuspensionRequest, data)


def approval_withdrawal(data: object) -> ApprovalWithdrawal:
    """Return a valid record; see `organization`."""
    return load(ApprovalWithdrawal, data)


def key_request(data: object) -> tuple[SealingKey, KeyRequest]:
    """Return a valid key and the request; see `organization`."""
    if not isinstance(data, dict):
        return sealing_key(data), load(KeyRequest, data)
    key = sealing_key(
        {name: value for name, value in data.items() if name not in ("approval", "organization")}
    )
    return key, load(KeyRequest, data)


def proof(data: object) -> Proof:
    """Return a valid record; see `organization`."""
    return load(Proof, data)


def watch_choice(data: object) -> WatchChoice:
    """Return a valid record; see `organization`."""
    return load(WatchChoice, data)


def employer_report(data: object) -> EmployerReport:
    """Return a valid record; see `organization`."""
    return load(EmployerReport, data)


def employer_reply(data: object) -> EmployerReplyText:
    """Return a valid record; see `organization`."""
    return load(EmployerReplyText, data)


def application(data: object) -> ApplicationRequest:
    """Return a valid record; see `organization`."""
    return load(ApplicationRequest, data)


def application_vetting(data: object) -> ApplicationVetting:
    """Return a valid record; see `organization`."""
    return load(ApplicationVetting, data)


def application_rejection(data: object) -> ApplicationRejection:
    """Return a valid record; see `organization`."""
    return load(ApplicationRejection, data)


def credential(data: object) -> Credential:
    """Return a valid record; see `organization`."""
    return load(Credential, data)


def key_set(data: object) -> KeySet:
    """Return a valid record; see `organization`. `client_keys` checks the keys."""
    return load(KeySet, data)


def rotation_request(data: object, now: dt.datetime) -> RotationRequest:
    """Return a valid record whose expiry is in the future; see `organization`."""
    wanted = load(RotationRequest, data)
    _require_future(wanted.expires_at, now)
    return wanted


def amqp_password_request(data: object) -> AmqpPasswordRequest:
    """Return a valid record; see `organization`."""
    return load(AmqpPasswordRequest, data)


def credential_request(data: object, now: dt.datetime) -> CredentialRequest:
    """Return a valid record; see `organization`."""
    wanted = load(CredentialRequest, data)
    _require_future(wanted.expires_at, now)
    return wanted


def _require_future(expires_at: dt.datetime | None, now: dt.datetime) -> None:
    if expires_at is not None and expires_at <= now:
        where = PointerError(pointer="/expires_at", detail="Must be in the future.")
        raise Refused("invalid-submission", "The secret would have expired already.", errors=[where])
