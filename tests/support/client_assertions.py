"""Client assertions, signed with a library that is not ours."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

ALGORITHMS = {"Ed25519": "EdDSA", "P-256": "ES256", "P-384": "ES384"}
Key = OKPKey | ECKey


def new_key(curve: str = "Ed25519", kid: str = "k-1") -> Key:
    """Return a private key."""
    if curve == "Ed25519":
        return OKPKey.generate_key("Ed25519", parameters={"kid": kid})
    return ECKey.generate_key(curve, parameters={"kid": kid})


def public_set(*keys: Key) -> dict[str, Any]:
    """Return the JWK set that a partner uploads."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def assertion(
    key: Key,
    client_id: str,
    audience: str,
    now: dt.datetime,
    *,
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return an assertion of five minutes. header, claims: members beyond the usual ones, or instead."""
    content = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 300,
        **claims,
    }
    algorithm = ALGORITHMS[str(key.as_dict()["crv"])]
    full = {"alg": algorithm, "kid": key.kid, **(header or {})}
    return jwt.encode(full, content, key, algorithms=[algorithm])
