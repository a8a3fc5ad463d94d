"""Generation of a hub's and an organisation's keys."""

from __future__ import annotations

from typing import Any

from joserfc.jwk import OKPKey


def sealing_key() -> dict[str, Any]:
    """Return a new X25519 key pair as a private JWK; `kid` is its RFC 7638 thumbprint. Source: RFC 8037."""
    return _key("X25519")


def signing_key() -> dict[str, Any]:
    """Return a new Ed25519 key pair in the same form."""
    return _key("Ed25519")


def public_half(key: dict[str, Any]) -> dict[str, Any]:
    """Return the public part of a private JWK: only members that are known to be public."""
    return {name: key[name] for name in ("kty", "crv", "x", "kid") if name in key}


def _key(curve: Any) -> dict[str, Any]:
    key = OKPKey.generate_key(curve, private=True)
    jwk = dict(key.as_dict(private=True))
    return {**jwk, "kid": key.thumbprint()}
