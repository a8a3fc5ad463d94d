"""Tokens for clients with a valid secret."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest
from joserfc import jws

from contracts.errors import Refused
from runtime.access.clients import RegisteredClient
from runtime.access.tokens import Principal, TokenVerifier
from tests.unit.services.directory.samples import OPERATOR, OSH, Directory, issue, organization

SECRET = "a" * 43


def test_token_holds_principal_and_roles(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    keys = {"keys": [directory.signer.public_jwk()]}
    verifier = TokenVerifier(lambda: keys, "kopuro:kg", directory.clock, clients=directory.access.client)
    principal = verifier.verify(directory.tokens.issue("desk", SECRET))
    assert principal == Principal(id=OSH, roles=frozenset({"partner"}))


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("desk", "b" * 43), ("desk", "b" * 32), ("nobody", SECRET), ("", "b" * 43), (OSH, SECRET)],
)
def test_unknown_client_and_wrong_secret_are_refused_alike(
    directory: Directory, client_id: str, secret: str
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue(client_id, secret)
    assert (refusal.value.slug, refusal.value.status) == ("invalid-client", 401)
    assert refusal.value.detail == "No client has this id and secret."


@pytest.mark.parametrize("client_id", ["desk", "nobody", ""])
@pytest.mark.parametrize("secret", ["", "\n", "desk", "b" * 31])
def test_short_secret_gets_the_same_refusal_for_every_client_even_with_a_stored_digest(
    directory: Directory, client_id: str, secret: str
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", "b" * 31)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue(client_id, secret)
    assert (refusal.value.slug, refusal.value.detail) == (
        "invalid-client",
        "A client secret has at least 32 characters. Check that your program has it.",
    )


EXCLUDED: list[dict[str, Any]] = [{"vetting": "suspended"}, {"vetting": "left"}, {"active": False}]


@pytest.mark.parametrize("excluded", EXCLUDED, ids=str)
def test_excluded_organization_gets_no_token(directory: Directory, excluded: dict[str, Any]) -> None:
    directory.entries.put_organization(OPERATOR, organization(**excluded))
    issue(directory, OSH, "desk", SECRET)
    assert directory.access.is_excluded(OSH)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue("desk", SECRET)
    assert (refusal.value.slug, refusal.value.status) == ("unauthorized-client", 400)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue("desk", "b" * 43)
    assert refusal.value.slug == "invalid-client"


def test_applicant_gets_a_token(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization(vetting="applied"))
    issue(directory, OSH, "desk", SECRET)
    assert directory.tokens.issue("desk", SECRET)
    assert not directory.access.is_excluded(OSH)


def test_directory_knows_its_own_clients(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    assert directory.access.client("desk") == RegisteredClient(
        principal=OSH, roles=frozenset({"partner"}), live=True
    )
    for unknown in ("nobody", "", "a\0b"):
        assert directory.access.client(unknown) is None


def test_revoked_client_gets_no_token_and_the_refusal_does_not_say_so(directory: Directory) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    directory.credentials.revoke("desk", by=OSH, client="desk", operator=False)
    with pytest.raises(Refused) as refusal:
        directory.tokens.issue("desk", SECRET)
    assert (refusal.value.slug, refusal.value.detail) == (
        "invalid-client",
        "No client has this id and secret.",
    )


def test_token_names_its_client_and_its_log_line_names_both_but_no_token(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    directory.entries.put_organization(OPERATOR, organization())
    issue(directory, OSH, "desk", SECRET)
    with caplog.at_level(logging.INFO):
        first, second = (directory.tokens.issue("desk", SECRET) for _ in range(2))
    claims = [orjson.loads(jws.extract_compact(token.encode()).payload) for token in (first, second)]
    assert {claim["client_id"] for claim in claims} == {"desk"}
    assert claims[0]["jti"] != claims[1]["jti"]
    lines = [r for r in caplog.records if r.getMessage() == "token issued"]
    assert [(line.client, line.jti) for line in lines] == [("desk", claim["jti"]) for claim in claims]  # type: ignore[attr-defined]
    assert first not in caplog.text
