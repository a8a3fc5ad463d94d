"""Tokens for clients with a valid secret."""

from __future__ import annotations

import pytest

from contracts.errors import Refused
from runtime.access.tokens import Principal, TokenVerifier
from services.directory.domain.client import Role
from tests.unit.services.directory.samples import OPERATOR, OSH, Directory, FixedClock, organization

SECRET = "a" * 43


def test_token_holds_principal_and_roles(directory: Directory) -> None:
    roles = (Role.partner, Role.coordinator)
    directory.entries.put_organization(OPERATOR, organization())
    directory.entries.put_client(OPERATOR, client_id="desk", principal=OSH, roles=roles, secret=SECRET)
    keys = {"keys": [directory.signer.public_jwk()]}
    verifier = TokenVerifier(lambda: keys, "kopuro:kg", FixedClock())
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
    assert refusal.value.detail == "No client has this id and secret."
