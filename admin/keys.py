"""Keys of a new hub: made once, kept in the data directory, never sent anywhere."""

from __future__ import annotations

from typing import Any

from joserfc.jwk import OKPKey


def sealing_key() -> dict[str, Any]:
    """A new X25519 key pair as a private JWK with its RFC 7638 thumbprint as kid. Source: RFC 8037."""
    return _key("X25519")


def signing_key() -> dict[str, Any]:
    """A new Ed25519 key pair, likewise."""
    return _key("Ed25519")


def public_half(key: dict[str, Any]) -> dict[str, Any]:
    """The part of a key pair that everybody may know."""
    return {name: value for name, value in key.items() if name != "d"}


def _key(curve: Any) -> dict[str, Any]:
    key = OKPKey.generate_key(curve, private=True)
    jwk = dict(key.as_dict(private=True))
    return {**jwk, "kid": key.thumbprint()}
