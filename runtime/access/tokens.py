"""Local verification of bearer tokens: no request to another service.

EdDSA over Ed25519 only (RFC 8037), typ `at+jwt` and its claims (RFC 9068 §2.2, §4). The service fixes the
algorithm, never the token: any other one is refused before a key is used.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from contracts.broker_rights import gateway_client
from contracts.errors import Refused, Unavailable
from contracts.roles import in_words
from runtime.access.clients import Clients, RegisteredClient
from runtime.clock import Clock

_log = logging.getLogger(__name__)

ALGORITHM: Final = "EdDSA"
BY_SECRET: Final = "secret"  # noqa: S105 - the claim `credential` of a token that a secret got
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type, not a secret
LEEWAY_SECONDS: Final = 30  # the clocks of one deployment differ by less
# The directory issues none that is valid for longer. A thief of the signing key could.
LONGEST_LIFETIME_SECONDS: Final = 900
_MAXIMUM_TOKEN: Final = 4096
_REMEMBERED: Final = 4096

# RFC 7517 §5: {"keys": [public JWK, ...]}, each with its kid; {} while none is known yet.
JwkSet = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The holder of a token: the id of an organisation or a person, and its roles.

    client_id, token_id: the OAuth client that got the token, and the token's `jti`. issued_at: the token's
    `iat`. epoch: its client's `token_epoch` when it was issued.
    credential: what got the token: the thumbprint (RFC 7638) of a key, or `secret`; None for a token of an
    earlier build.
    excluded: its organisation may not use the hub, and the resource admits it (`access/gate.py`).
    """

    id: str
    roles: frozenset[str]
    client_id: str = field(default="", compare=False)
    token_id: str = field(default="", compare=False)
    issued_at: float = field(default=0.0, compare=False)
    epoch: int = field(default=0, compare=False)
    credential: str | None = field(default=None, compare=False)
    excluded: bool = False

    @property
    def is_gateway(self) -> bool:
        """Whether it is the partners' gateway, acting for an organisation."""
        return self.client_id == gateway_client(self.id)

    def has(self, role: str) -> bool:
        """Return whether the token grants `role`."""
        return role in self.roles


def audience_of(hub: str) -> str:
    """Return the `aud` of a hub's tokens: all of its services together are one audience."""
    return f"kopuro:{hub}"


def issuer_of(hub: str, url: str | None = None) -> str:
    """Return the `iss` of a hub's tokens. url: the operator's issuer, where one is set (RFC 8414 §2)."""
    return url or f"kopuro:{hub}"


class TokenVerifier:
    """Verifies tokens against the current keys of `keys()`, and caches the result.

    keys, clients: called for every token, so they must be cheap, e.g. a dictionary that other code updates. A
    change of the key set clears the cache. So a removed key is rejected from the next request on. The same
    holds for the token of a client that was revoked or lost a role. Safe to share among greenlets.
    """

    def __init__(
        self,
        keys: Callable[[], JwkSet],
        issuer: str,
        clock: Clock,
        *,
        clients: Clients,
        audience: str | None = None,
    ) -> None:
        """issuer, audience: the `iss` and `aud` that a token must have. audience: by default the issuer."""
        self._keys = keys
        self._clients = clients
        self._issuer = issuer
        self._audience = audience or issuer
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
            raise Refused(
                "missing-token", "The request has no `Authorization: Bearer`: get a token from /oauth/token."
            )
        return self.verify(token.strip())

    def verify(self, token: str) -> Principal:
        """Return the principal of a token. Raises Refused `invalid-token` or `expired-token`.

        The signing key alone makes no valid token: its client must be live and have the principal and roles.
        """
        principal = self._principal(token)
        self._require_live_client(principal)
        return principal

    def _principal(self, token: str) -> Principal:
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
        if self._set == {}:  # at the start, before the directory's snapshot: nobody can be refused yet
            raise Unavailable("The hub's token keys have not reached this service yet.")
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
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise _invalid("The token was issued for another audience.")
        roles = claims.get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise _lacking()
        subject, client_id, token_id = (_text(claims, name) for name in ("sub", "client_id", "jti"))
        issued, expires = _number(claims, "iat"), _number(claims, "exp")
        not_before = _number(claims, "nbf") if "nbf" in claims else issued
        if now >= expires + LEEWAY_SECONDS:
            raise Refused(
                "expired-token", "The token is no longer valid: request a new one from /oauth/token."
            )
        if now < max(issued, not_before) - LEEWAY_SECONDS:
            raise _invalid("The token is not valid yet.")
        if expires - issued > LONGEST_LIFETIME_SECONDS:
            raise _invalid("The token is valid for longer than this hub's tokens.")
        principal = Principal(
            id=subject,
            roles=frozenset(roles),
            client_id=client_id,
            token_id=token_id,
            issued_at=issued,
            epoch=_epoch(claims),
            credential=_text(claims, "credential") if "credential" in claims else None,
        )
        return principal, expires + LEEWAY_SECONDS

    def _require_live_client(self, principal: Principal) -> None:
        client = self._clients(principal.client_id)
        if client is None:
            wrong = "The directory has no such client."
        elif not client.live:
            wrong = "The client's credentials are revoked."
        elif client.principal != principal.id or not principal.roles <= client.roles:
            wrong = "The client does not have the token's principal and roles."
        elif _is_revoked(principal, client):
            wrong = "The client's tokens were revoked."
        elif _is_of_ended_key(principal, client):
            wrong = "The key that got the token was removed."
        else:
            return
        # The signature is good. Either the client has just changed, or the signing key was stolen.
        _log.warning(
            "token refused",
            extra={"client": principal.client_id, "jti": principal.token_id, "reason": wrong},
        )
        raise _invalid(f"{wrong} Request a new token from /oauth/token.")


def permit(principal: Principal, roles: frozenset[str]) -> None:
    """Raises Refused `forbidden` unless the principal has one of `roles`."""
    if not roles & principal.roles:
        raise Refused("forbidden", f"Only {in_words(roles)} may make this request.")


def _is_revoked(principal: Principal, client: RegisteredClient) -> bool:
    # A later epoch than the client's is forged, or the revocation has not reached this service: that takes
    # milliseconds, or as long as its broker is unavailable. Accepted, a forged one would outlive every
    # revocation.
    return principal.epoch != client.token_epoch


def _is_of_ended_key(principal: Principal, client: RegisteredClient) -> bool:
    if principal.credential is None:
        # An earlier build issued the token, without its credential: any key may have got it.
        return bool(client.ended_keys)
    return principal.credential in client.ended_keys


def _epoch(claims: Mapping[str, Any]) -> int:
    # Required: without it a forged token would outlive every revocation.
    epoch = claims.get("epoch")
    if type(epoch) is not int or epoch < 0:
        raise _lacking()
    return epoch


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise _lacking()
    return value


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # JSON's true and false are not numbers, but Python's are.
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _lacking()
    return value


def _lacking() -> Refused:
    return _invalid("The token lacks a required claim.")


def _invalid(detail: str) -> Refused:
    return Refused("invalid-token", detail)
