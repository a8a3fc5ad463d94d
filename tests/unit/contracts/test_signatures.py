"""Compact JWS with a fixed header: only one text verifies, and no header selects an algorithm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from contracts.jose import decoded, encoded
from contracts.signatures import SignatureFault, SigningKey, UnusableSigningKey, VerificationKey
from tests.support.hub_keys import private_key, public_key

TYPE = "kopuro-test+jws"
PAYLOAD = b"what was said"


def signed(name: str = "intake", typ: str = TYPE) -> str:
    return SigningKey(private_key(name), typ).sign(PAYLOAD)


def header(**members: Any) -> str:
    return encoded(json.dumps(members, separators=(",", ":")).encode())


def test_signature_verifies_and_another_jose_library_agrees() -> None:
    assert public_key("intake").payload_of(signed(), TYPE) == PAYLOAD
    key = OKPKey.import_key(dict(public_key("intake").jwk()))
    assert jws.deserialize_compact(signed(), key, algorithms=["EdDSA"]).payload == PAYLOAD


def test_signature_of_another_key_or_type_is_refused() -> None:
    for other in (signed("vault"), signed(typ="kopuro-other+jws")):
        with pytest.raises(SignatureFault):
            public_key("intake").payload_of(other, TYPE)


def test_every_changed_character_is_refused() -> None:
    text = signed()
    for place in range(len(text)):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(SignatureFault):
            public_key("intake").payload_of(changed, TYPE)


@pytest.mark.parametrize(
    "change", [lambda t: t + ".", lambda t: t + "=", lambda t: "." + t, lambda t: t[:-1]]
)
def test_other_texts_of_the_same_signature_are_refused(change: Any) -> None:
    with pytest.raises(SignatureFault):
        public_key("intake").payload_of(change(signed()), TYPE)


def test_header_cannot_select_another_algorithm() -> None:
    kid = public_key("intake").kid
    _, payload, signature = signed().split(".")
    secret = OctKey.import_key(decoded(public_key("intake").x))
    with_public_key_as_secret = jws.serialize_compact(
        {"alg": "HS256", "kid": kid, "typ": TYPE}, PAYLOAD, secret, algorithms=["HS256"]
    )
    for forged in (
        f"{header(alg='none', kid=kid, typ=TYPE)}.{payload}.",
        f"{header(alg='none', kid=kid, typ=TYPE)}.{payload}.{signature}",
        with_public_key_as_secret,
    ):
        with pytest.raises(SignatureFault):
            public_key("intake").payload_of(forged, TYPE)


@pytest.mark.parametrize(
    "change",
    [
        {"d": None},
        {"crv": "X25519"},
        {"kty": "EC"},
        {"x": private_key("vault")["x"]},
        {"d": private_key("vault")["d"]},
        {"d": "!"},
    ],
)
def test_unusable_private_key_is_refused_without_its_secret(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableSigningKey) as refused:
        SigningKey({**private_key("intake"), **change}, TYPE)
    assert private_key("intake")["d"] not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [{"x": "AAAA"}, {"crv": "X25519"}, {"kid": public_key("vault").kid}, {"d": "secret"}, {"x": None}],
)
def test_unusable_public_key_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnusableSigningKey):
        VerificationKey({**public_key("intake").jwk(), **change})


@pytest.mark.parametrize("jwk", [None, [], "text", {}])
def test_value_that_is_not_a_key_is_refused(jwk: Any) -> None:
    with pytest.raises(UnusableSigningKey):
        VerificationKey(jwk)
    with pytest.raises(UnusableSigningKey):
        SigningKey(jwk, TYPE)
