"""Local verification of bearer tokens: no request to another service.

EdDSA over Ed25519 only (RFC 8037), typ `at+jwt` (RFC 9068), issuer `kopuro:<hub>`. The service fixes the
algorithm, never the token: any other one is refused before a key is used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from contracts.errors import Refused
from runtime.clock import Clock

ALGORITHM: Final = "EdDSA"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type, not a secret
LEEWAY_SECONDS: Final = 30  # the clocks of one deployment differ by less
_MAXIMUM_TOKEN: Final = 4096
_REMEMBERED: Final = 4096

JwkSet = Mapping[str, Any]  # RFC 7517 §5: {"keys": [public JWK, ...]}, each with its kid


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The holder of a token: the id of an organisation or a person, and its roles.

    client_id: the OAuth client that got the token, empty for a token that names none.
    """

    id: str
    roles: frozenset[str]
    client_id: str = field(default="", compare=False)

    def has(self, role: str) -> bool:
        """Return whether the token grants `role`."""
        return role in self.roles


def issuer_of(hub: str) -> str:
    """Return the `iss` of a hub's tokens."""
    return f"kopuro:{hub}"


class TokenVerifier:
    """Verifies tokens against the current keys of `keys()`, and caches the result.

    keys: called for every token, so it must be cheap, e.g. an attribute that other code updates. A change of
    the key set clears the cache: a removed key is rejected from the next request on. Safe to share among
    greenlets.
    """

    def __init__(self, keys: Callable[[], JwkSet], issuer: str, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._set: JwkSet | None = None
        self._by_kid: dict[str, OKPKey] = {}
        self._remembered: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def authenticate(self, authorization: str | None) -> Principal:
        """Return the principal of an `Authorization` header (RFC 6750).

        Raises Refused `missing-token`, `invalid-token` or `expired-token`.
        """
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused("missing-token", "Send `Authorization: Bearer` with a token from /oauth/token.")
        return self.verify(token.strip())

    def verify(self, token: str) -> Principal:
        """Return the principal of a token. Raises Refused `invalid-token` or `expired-token`."""
        if len(token) > _MAXIMUM_TOKEN:
            raise _invalid("The token is too long.")
        self._renew_keys()
        now = self._clock.now().timestamp()
        # Cache the hash, not the token: a memory dump must not contain thousands of usable tokens.
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._remembered.get(digest)
        if known is not None:
            principal, expires = known
            if now < expires:
                self._remembered.move_to_end(digest)
                return principal
            del self._remembered[digest]
        principal, expires = self._verify(token, now)
        self._remembered[digest] = (principal, expires)
        if len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    def _renew_keys(self) -> None:
        current = self._keys()
        if current is not self._set and current != self._set:
            self._by_kid = {
                str(jwk["kid"]): OKPKey.import_key(dict(jwk))
                for jwk in current.get("keys", ())
                if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519" and "kid" in jwk
            }
            self._set = current
            self._remembered.clear()

    def _verify(self, token: str, now: float) -> tuple[Principal, float]:
        try:
            header = jws.extract_compact(token.encode()).headers()
            key = self._by_kid.get(str(header.get("kid")))
            if header.get("alg") != ALGORITHM or header.get("typ") != TOKEN_TYPE or key is None:
                raise _invalid("The token was not signed by this hub.")
            claims = orjson.loads(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
        except (JoseError, ValueError):
            raise _invalid("The token is damaged or was not signed by this hub.") from None
        return self._checked(claims, now)

    def _checked(self, claims: Any, now: float) -> tuple[Principal, float]:
        if not isinstance(claims, dict) or claims.get("iss") != self._issuer:
            raise _invalid("The token was issued for another hub.")
        subject, roles, expires = claims.get("sub"), claims.get("roles"), claims.get("exp")
        not_before = claims.get("nbf", 0)
        if (
            not isinstance(subject, str)
            or not isinstance(roles, list)
            or not all(isinstance(role, str) for role in roles)
            or not isinstance(expires, int | float)
            or not isinstance(not_before, int | float)
        ):
            raise _invalid("The token lacks a required claim.")
        if now >= expires + LEEWAY_SECONDS:
            raise Refused("expired-token", "Request a new one from /oauth/token.")
        if now < not_before - LEEWAY_SECONDS:
            raise _invalid("The token is not valid yet.")
        client_id = claims.get("client_id")
        principal = Principal(
            id=subject,
            roles=frozenset(roles),
            client_id=client_id if isinstance(client_id, str) else "",
        )
        return principal, expires + LEEWAY_SECONDS


def permit(principal: Principal, roles: frozenset[str]) -> None:
    """Raises Refused `forbidden` unless the principal has one of `roles`."""
    if not roles & principal.roles:
        raise Refused("forbidden", f"This request requires the {' or '.join(sorted(roles))} role.")


def _invalid(detail: str) -> Refused:
    return Refused("invalid-token", detail)
