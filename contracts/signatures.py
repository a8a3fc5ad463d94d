"""Compact JWS with one algorithm and one header per key: the signatures of the hub's manifest and of facts.

The header of a key is fixed text, so a verifier compares it with the headers it knows and parses none. A
forger can choose no other algorithm.

Source: RFC 7515 §3.1 and §7.1 (compact serialisation), RFC 8037 §3.1 (EdDSA with Ed25519), RFC 7638.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from contracts.jose import decoded, encoded, thumbprint

_CURVE = "Ed25519"


class UnusableSigningKey(ValueError):
    """The JWK is not an Ed25519 key. The text never quotes the key."""


class SignatureFault(ValueError):
    """The text is not a JWS with the expected header and a valid signature."""


class SigningKey:
    """A private Ed25519 key that signs payloads of one type. kid: its RFC 7638 thumbprint."""

    def __init__(self, private_jwk: Mapping[str, Any], typ: str) -> None:
        """typ: the type of the payloads, a member of the header. Raises UnusableSigningKey."""
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(decoded(private_jwk["d"]))
            x = encoded(self._key.public_key().public_bytes_raw())
            usable = (private_jwk["kty"], private_jwk["crv"], private_jwk["x"]) == ("OKP", _CURVE, x)
        except (KeyError, TypeError, AttributeError, ValueError):
            usable = False
        if not usable:
            raise UnusableSigningKey("not a private Ed25519 JWK")
        self.kid = thumbprint(x, _CURVE)
        self._header = header_of(self.kid, typ)

    def sign(self, payload: bytes) -> str:
        """Return the compact JWS `header.payload.signature`."""
        signed = f"{self._header}.{encoded(payload)}"
        return f"{signed}.{encoded(self._key.sign(signed.encode('ascii')))}"

    def derived(self, purpose: str) -> bytes:
        """Return 32 secret bytes for one purpose, the same for the same key. Source: RFC 5869."""
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode("ascii"))
        return derivation.derive(self._key.private_bytes_raw())


class VerificationKey:
    """A public Ed25519 key. kid: its RFC 7638 thumbprint; the JWK's own `kid` must not differ from it."""

    def __init__(self, public_jwk: Mapping[str, Any]) -> None:
        """Raises UnusableSigningKey."""
        try:
            x = public_jwk["x"]
            self._key = Ed25519PublicKey.from_public_bytes(decoded(x))
            self.kid = thumbprint(x, _CURVE)
            usable = (public_jwk["kty"], public_jwk["crv"]) == ("OKP", _CURVE)
            usable = usable and public_jwk.get("kid", self.kid) == self.kid and "d" not in public_jwk
        except (KeyError, TypeError, AttributeError, ValueError):
            usable = False
        if not usable:
            raise UnusableSigningKey("not a public Ed25519 JWK")
        self.x = x

    def jwk(self) -> dict[str, str]:
        """Return the public JWK."""
        return {"kty": "OKP", "crv": _CURVE, "x": self.x, "kid": self.kid}

    def payload_of(self, signed: str, typ: str) -> bytes:
        """Return the payload of a JWS of this type by this key. Raises SignatureFault."""
        header, _, rest = signed.partition(".")
        if header != header_of(self.kid, typ):
            raise SignatureFault("signed by another key, or of another type")
        payload, _, signature = rest.partition(".")
        try:
            self._key.verify(decoded(signature), f"{header}.{payload}".encode("ascii"))
            return decoded(payload)
        except (InvalidSignature, ValueError):
            raise SignatureFault("the signature is not valid") from None


@cache
def header_of(kid: str, typ: str) -> str:
    """Return the encoded header of every JWS of this type by this key."""
    return encoded(f'{{"alg":"EdDSA","kid":{json.dumps(kid)},"typ":{json.dumps(typ)}}}'.encode("ascii"))
