"""Tokens for clients with a valid secret."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Refused
from runtime.access.clients import RegisteredClient
from runtime.access.tokens import Principal, TokenVerifier
from services.directory.domain.client import Role
from tests.unit.services.directory.samples import OPERATOR, OSH, Directory, FixedClock, organization

SECRET = "a" * 43


def test_token_holds_principal_and_roles(directory: Directory) -> None:
    roles = (Role.partner, Role.coordinator)
    directory.entries.put_organization(OPERATOR, organization())
    directory.entries.put_client(OPERATOR, client_id="desk", principal=OSH, roles=roles, secret=SECRET)
    keys = {"keys": [directory.signer.public_jwk()]}
    verifier = TokenVerifier(lambda: keys, "kopuro:kg", FixedClock(), clients=directory.access.client)
    principal = verifier.verify(directory.tokens.issue("desk", SECRET))
    assert principal == Principal(id=OSH, roles=frozenset({"partner", "coordinator"}))


@pytest.mark.parametrize(
    ("client_id", "secret"), [("desk", "b" * 43), ("desk", ""), ("nobody", SECRET), ("", ""), (OSH, SECRET)]
)
def test_unknown_client_and_wrong_secret_are_refused_alike(
    directory: Directory, client_id: str, secret: str
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    directory.entries.put_client(
        OPERATOR, client_id="desk", principal=OSH, roles=(Role.partner,), secret=SECRET
    )
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue(client_id, secret)
    assert (refusal.value.slug, refusal.value.status) == ("invalid-client", 401)
    assert refusal.value.detail == "The client id or the secret is wrong."


EXCLUDED: list[dict[str, Any]] = [{"vetting": "suspended"}, {"vetting": "left"}, {"active": False}]


@pytest.mark.parametrize("excluded", EXCLUDED, ids=str)
def test_excluded_organization_gets_no_token(directory: Directory, excluded: dict[str, Any]) -> None:
    directory.entries.put_organization(OPERATOR, organization(**excluded))
    directory.entries.put_client(
        OPERATOR, client_id="desk", principal=OSH, roles=(Role.partner,), secret=SECRET
    )
    assert directory.access.is_excluded(OSH)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue("desk", SECRET)
    assert (refusal.value.slug, refusal.value.status) == ("forbidden", 403)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue("desk", "b" * 43)
    assert refusal.value.slug == "invalid-client"


def test_applicant_gets_a_token(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization(vetting="applied"))
    directory.entries.put_client(
        OPERATOR, client_id="desk", principal=OSH, roles=(Role.partner,), secret=SECRET
    )
    assert directory.tokens.issue("desk", SECRET)
    assert not directory.access.is_excluded(OSH)


def test_directory_knows_its_own_clients(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    directory.entries.put_client(
        OPERATOR, client_id="desk", principal=OSH, roles=(Role.partner,), secret=SECRET
    )
    assert directory.access.client("desk") == RegisteredClient(
        principal=OSH, roles=frozenset({"partner"}), live=True
    )
    for unknown in ("nobody", "", "a\0b"):
        assert directory.access.client(unknown) is None
