"""Public keys of OAuth clients: a client signs with its private key instead of showing a secret.

Source: JWK RFC 7517, RFC 7518 §6.2, RFC 8037 §2; algorithms RFC 7518 §3.4, RFC 8037 §3.1, RFC 9864 §2.2.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final

from marshmallow.validate import Length

from contracts.canonical import canonical_json
from contracts.errors import PointerError, Refused
from contracts.jose import encoded, is_base64url

MOST_KEYS: Final = 5
_LONGEST_KID: Final = 100


class KeyAlgorithm(StrEnum):
    """The signature algorithms that a client may use. The key fixes the algorithm, never the signed text."""

    EdDSA = "EdDSA"  # Ed25519
    ES256 = "ES256"
    ES384 = "ES384"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Curve:
    kty: str
    crv: str
    characters: int  # of a coordinate in base64url


_CURVES: Final[Mapping[KeyAlgorithm, _Curve]] = {
    KeyAlgorithm.EdDSA: _Curve(kty="OKP", crv="Ed25519", characters=43),
    KeyAlgorithm.ES256: _Curve(kty="EC", crv="P-256", characters=43),
    KeyAlgorithm.ES384: _Curve(kty="EC", crv="P-384", characters=64),
}
# RFC 9864 gives EdDSA with Ed25519 a name of its own. Both names are in use.
_NAMES: Final[Mapping[str, KeyAlgorithm]] = {
    **{algorithm.value: algorithm for algorithm in KeyAlgorithm},
    "Ed25519": KeyAlgorithm.EdDSA,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientKey:
    """One public key. x, y: coordinates in base64url; y: None for Ed25519. expires_at: None for no end."""

    kid: str
    alg: KeyAlgorithm
    x: str
    y: str | None = None
    expires_at: dt.datetime | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the `alg` values of signatures by this key."""
        return tuple(name for name, algorithm in _NAMES.items() if algorithm is self.alg)

    def is_valid(self, now: dt.datetime) -> bool:
        """Return whether signatures by this key are accepted."""
        return self.expires_at is None or now < self.expires_at

    @property
    def thumbprint(self) -> str:
        """Return the RFC 7638 thumbprint. The same key has the same one, whatever its kid and its end are."""
        members = {name: value for name, value in self.jwk().items() if name != "kid"}
        return encoded(sha256(canonical_json(members)).digest())

    def jwk(self) -> dict[str, str]:
        """Return the key as a JWK without its expiry."""
        curve = _CURVES[self.alg]
        y = {} if self.y is None else {"y": self.y}
        return {"kty": curve.kty, "crv": curve.crv, "x": self.x, **y, "kid": self.kid}


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittedKey:
    """A key of a JWK set, as a partner sends it. exp: seconds since 1970. A private member is unknown."""

    kty: str
    crv: str
    x: str
    kid: str
    y: str | None = None
    alg: str | None = None
    use: str | None = None
    exp: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySet:
    """A JWK set (RFC 7517 §5) of a client. It replaces the set before it; an empty one removes all keys."""

    keys: Annotated[
        tuple[SubmittedKey, ...], Length(max=MOST_KEYS, error=f"A client has at most {MOST_KEYS} keys.")
    ]


def client_keys(submitted: KeySet, now: dt.datetime, *, at: str = "") -> tuple[ClientKey, ...]:
    """Return the keys of a set. Raises Refused `invalid-submission` with a pointer for each fault.

    at: the pointer of the set in the body. The adapter that imports a key checks that it is on its curve.
    """
    if faults := list(_faults(submitted.keys, now, at)):
        raise Refused("invalid-submission", "Correct the keys.", errors=faults)
    return tuple(_client_key(key) for key in submitted.keys)


def valid_keys(keys: Iterable[ClientKey], now: dt.datetime) -> list[ClientKey]:
    """Return the keys whose signatures are accepted."""
    return [key for key in keys if key.is_valid(now)]


def _faults(keys: Sequence[SubmittedKey], now: dt.datetime, place: str) -> Iterable[PointerError]:
    kids = [key.kid for key in keys]
    for index, key in enumerate(keys):
        at = f"{place}/keys/{index}"
        algorithm = _algorithm(key)
        if algorithm is None:
            yield PointerError(pointer=f"{at}/crv", detail="Must be OKP Ed25519, EC P-256 or EC P-384.")
            continue
        if not 0 < len(key.kid) <= _LONGEST_KID or kids.count(key.kid) > 1:
            yield PointerError(
                pointer=f"{at}/kid", detail=f"Must be unique and have 1 to {_LONGEST_KID} characters."
            )
        if key.alg is not None and _NAMES.get(key.alg) is not algorithm:
            yield PointerError(pointer=f"{at}/alg", detail="Must be the algorithm of the key's curve.")
        if key.use not in (None, "sig"):
            yield PointerError(pointer=f"{at}/use", detail="Must be `sig`.")
        length = _CURVES[algorithm].characters
        if not _is_coordinate(key.x, length):
            yield PointerError(pointer=f"{at}/x", detail=f"Must be {length} characters of base64url.")
        if algorithm is KeyAlgorithm.EdDSA:
            if key.y is not None:
                yield PointerError(pointer=f"{at}/y", detail="Ed25519 has no `y`.")
        elif key.y is None or not _is_coordinate(key.y, length):
            yield PointerError(pointer=f"{at}/y", detail=f"Must be {length} characters of base64url.")
        if key.exp is not None and not now.timestamp() < key.exp <= _LAST_MOMENT:
            yield PointerError(pointer=f"{at}/exp", detail="Must be in the future, in seconds since 1970.")


# 2200-01-01, the last day of the contracts' dates: beyond it a value is probably in milliseconds.
_LAST_MOMENT: Final = 7_258_118_400


def _algorithm(key: SubmittedKey) -> KeyAlgorithm | None:
    for algorithm, curve in _CURVES.items():
        if (key.kty, key.crv) == (curve.kty, curve.crv):
            return algorithm
    return None


def _is_coordinate(text: str, length: int) -> bool:
    return len(text) == length and is_base64url(text)


def _client_key(key: SubmittedKey) -> ClientKey:
    algorithm = _algorithm(key)
    assert algorithm is not None
    return ClientKey(
        kid=key.kid,
        alg=algorithm,
        x=key.x,
        y=key.y,
        expires_at=None if key.exp is None else dt.datetime.fromtimestamp(key.exp, dt.UTC),
    )
