"""Signing of the tokens that `tokens.py` verifies. Only the directory holds a signing key."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from runtime.access.tokens import ALGORITHM, LONGEST_LIFETIME_SECONDS, TOKEN_TYPE, Principal

LIFETIME_SECONDS: Final = LONGEST_LIFETIME_SECONDS
_TOKEN_ID_BYTES: Final = 16


def new_token_id() -> str:
    """Return a random `jti`."""
    return secrets.token_urlsafe(_TOKEN_ID_BYTES)


class TokenSigner:
    """Signs tokens with a private Ed25519 JWK. kid: the key's RFC 7638 thumbprint."""

    def __init__(self, private_jwk: Mapping[str, Any], issuer: str, audience: str | None = None) -> None:
        """issuer, audience: the tokens' `iss` and `aud`. audience: by default the issuer.

        Raises ValueError.
        """
        if private_jwk.get("crv") != "Ed25519" or "d" not in private_jwk:
            raise ValueError("a private Ed25519 JWK is required")
        try:
            self._key = OKPKey.import_key(dict(private_jwk))
        except JoseError:
            # Not chained: the cause may quote the key.
            raise ValueError("a private Ed25519 JWK is required") from None
        self._issuer = issuer
        self._audience = audience or issuer
        self.kid = self._key.thumbprint()

    def public_jwk(self) -> dict[str, Any]:
        """Return the verification key, for a JWK set."""
        public = self._key.as_dict(private=False)
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": public["x"],
            "kid": self.kid,
            "use": "sig",
            "alg": ALGORITHM,
        }

    def issue(
        self,
        principal: Principal,
        *,
        now: datetime,
        lifetime: int = LIFETIME_SECONDS,
        client_id: str | None = None,
        token_id: str | None = None,
        epoch: int = 0,
        credential: str | None = None,
    ) -> str:
        """Return a token for `principal`, valid from `now` for `lifetime` seconds.

        client_id: the OAuth client; defaults to the principal's client, else to its id. token_id: the `jti`,
        random by default. epoch: the client's `token_epoch`. credential: see `Principal`. Source: RFC 9068
        §2.2.
        """
        issued = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": principal.id,
            "client_id": client_id or principal.client_id or principal.id,
            "jti": token_id or new_token_id(),
            "roles": sorted(principal.roles),
            "iat": issued,
            "nbf": issued,
            "exp": issued + lifetime,
            "epoch": epoch,
            **({} if credential is None else {"credential": credential}),
        }
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": self.kid}
        return jws.serialize_compact(header, orjson.dumps(claims), self._key, algorithms=[ALGORITHM])
