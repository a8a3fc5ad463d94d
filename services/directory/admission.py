"""From JSON, a partner's or a file's, to what the directory keeps: the contract, and what no schema sees."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from contracts.identifiers import ORGANIZATION_PATTERN, Pattern
from contracts.organization import Agreement, Organization, SealingKey
from contracts.records import load
from services.directory.domain.client import Client, ClientId, ClientSecret, PrincipalId, Role, Roles, client
from services.directory.domain.sealing import check_sealing_key

_organization_id = Pattern(ORGANIZATION_PATTERN, error="A partner is an organisation of the network.")


def _rules_of_a_client(data: Mapping[str, Any]) -> None:
    if Role.partner in data["roles"]:
        try:
            _organization_id(data["principal"])
        except ValidationError as error:
            raise ValidationError({"principal": error.messages}) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """A client with its secret, as credentials files hold it."""

    client_id: ClientId
    client_secret: ClientSecret
    principal: PrincipalId
    roles: Roles

    rules = staticmethod(_rules_of_a_client)

    def client(self) -> Client:
        """What is kept of it."""
        return client(
            client_id=self.client_id, principal=self.principal, roles=self.roles, secret=self.client_secret
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialRequest:
    """What an operator asks for. client_id: the principal's own id when it is left out."""

    principal: PrincipalId
    roles: Roles
    client_id: ClientId | None = None

    rules = staticmethod(_rules_of_a_client)


def organization(data: object, now: dt.datetime) -> Organization:
    """Raises Refused `invalid-submission` with pointers, as do the others here.

    now: what the record says of the past may not be later.
    """
    admitted = load(Organization, data, now=now)
    if admitted.sealing_key is not None:
        check_sealing_key(admitted.sealing_key, "/sealing_key")
    return admitted


def agreement(data: object, now: dt.datetime) -> Agreement:
    """See `organization`."""
    return load(Agreement, data, now=now)


def sealing_key(data: object) -> SealingKey:
    """See `organization`."""
    key = load(SealingKey, data)
    check_sealing_key(key)
    return key


def credential(data: object) -> Credential:
    """See `organization`."""
    return load(Credential, data)


def credential_request(data: object) -> CredentialRequest:
    """See `organization`."""
    return load(CredentialRequest, data)
