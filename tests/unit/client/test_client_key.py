"""A client that signs with a key of its own sends what the directory accepts."""

from __future__ import annotations

import datetime as dt
from urllib.parse import parse_qs

import pytest
from joserfc.jwk import ECKey, OKPKey

from kopuro_client import InvalidArgumentError, Kopuro, Transport
from kopuro_client.client_key import ClientKey, generate_client_key
from kopuro_client.tokens import ClientCredentials, TokenSource
from services.directory.adapters.client_assertions import JwtAssertionReader
from services.directory.adapters.request_proofs import read_proof
from services.directory.admission import key_set
from services.directory.domain.client_assertion import ASSERTION_TYPE, check_assertion
from services.directory.domain.client_key import ClientKey as PublicKey
from services.directory.domain.client_key import client_keys
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, json_response, problem

TOKEN = "/directory/oauth/token"
CLIENT = "kg.osh-legal-aid"


def pair(curve: str) -> tuple[ClientKey, tuple[PublicKey, ...]]:
    """A private key, and the directory's record of its public half."""
    if curve == "generated":
        private, public = generate_client_key("k-1")
    else:
        key = OKPKey.generate_key("Ed25519") if curve == "Ed25519" else ECKey.generate_key(curve)
        private, public = ({**key.as_dict(private=half), "kid": "k-1"} for half in (True, False))
    return ClientKey.from_jwk(private), client_keys(key_set({"keys": [public]}), dt.datetime.now(dt.UTC))


@pytest.mark.parametrize("curve", ["generated", "Ed25519", "P-256", "P-384"])
def test_assertion_and_proof_are_accepted_by_the_directory(
    hub: FakeHub, fake_clock: FakeClock, curve: str
) -> None:
    key, known = pair(curve)
    transport = Transport(sleep=fake_clock.sleep, clock=fake_clock.clock)
    with Kopuro.discover(hub.base, CLIENT, client_key=key, transport=transport) as client:
        hub.otherwise = json_response({"revision": 7})
        client.administration.revoke_tokens(CLIENT)
    (asked,) = hub.requests_to(TOKEN)
    form = {name: value for name, (value,) in parse_qs(asked.body.decode()).items()}
    assert form.pop("grant_type") == "client_credentials"
    assert form.pop("client_assertion_type") == ASSERTION_TYPE
    assert "authorization" not in asked.headers
    reader = JwtAssertionReader()
    assert reader.client_id(form["client_assertion"]) == CLIENT
    claims = reader.claims(form["client_assertion"], known)
    assert claims is not None
    check_assertion(claims, CLIENT, {hub.base + TOKEN}, dt.datetime.now(dt.UTC))
    (changed,) = hub.requests_to(f"/directory/v1/credentials/{CLIENT}/revoke-tokens")
    assert read_proof(changed.headers["kopuro-proof"], known).method == "POST"


def test_each_attempt_for_a_token_is_signed_anew(hub: FakeHub, fake_clock: FakeClock) -> None:
    key, _ = pair("Ed25519")
    issued = json_response({"access_token": "t", "expires_in": 900})
    hub.script("POST", TOKEN, problem(503, "unavailable", "Busy"), issued)
    tokens = TokenSource(
        Transport(sleep=fake_clock.sleep, clock=fake_clock.clock),
        token_url=hub.base + TOKEN,
        credentials=ClientCredentials(client_id=CLIENT, client_key=key),
    )
    assert tokens.current()
    assert len({request.body for request in hub.requests_to(TOKEN)}) == 2


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kid": "k"},
        {"kid": "k", "kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"},
        {**OKPKey.generate_key("X25519").as_dict(private=True), "kid": "k"},
        {**OKPKey.generate_key("Ed25519").as_dict(private=False), "kid": "k"},
        {**ECKey.generate_key("P-521").as_dict(private=True), "kid": "k"},
        {**generate_client_key("k")[0], "kid": ""},
    ],
)
def test_unusable_key_is_refused_without_quoting_it(document: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        ClientKey.from_jwk(document)
    assert str(document.get("d")) not in str(refused.value)
