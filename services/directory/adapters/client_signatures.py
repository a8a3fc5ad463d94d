"""Texts that a client signed, as compact JWS: request proofs and client assertions. Source: RFC 7515 §7.1."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from contracts.errors import PointerError, Refused
from contracts.jose import decoded
from runtime.web.request import parse_json
from services.directory.domain.client_key import ClientKey
from services.directory.domain.ed25519_point import is_usable_key

LONGEST_SIGNED: Final = 4096  # characters
# Members that change what the other members mean (RFC 7515 §4.1.11, RFC 7797 §3).
_REFUSED_MEMBERS: Final = frozenset({"crit", "b64"})


class BadSignature(ValueError):
    """The text is too long, is no JWS, or none of the keys signed it."""


def signed_content(text: str, keys: Iterable[ClientKey], types: Collection[object]) -> Any:
    """Return the JSON that one of the keys signed. types: the permitted `typ`; None permits its absence.

    The key fixes the algorithm, whatever the header says, and no key in a header is used. A `kid` selects
    the key. Raises BadSignature, and Refused for JSON that the hub does not read.
    """
    header, _ = _parts(text)
    if header.get("typ") not in types or not _REFUSED_MEMBERS.isdisjoint(header):
        raise BadSignature
    kid = header.get("kid")
    for key in keys:
        if kid in (None, key.kid) and header.get("alg") in key.names:
            try:
                verified = jws.deserialize_compact(text, imported(key), algorithms=list(key.names))
            except (JoseError, ValueError):
                continue
            return parse_json(verified.payload)
    raise BadSignature


def claimed_client(text: str) -> str:
    """Return the `sub` of a JWT whose signature is not verified yet. Raises BadSignature."""
    _, payload = _parts(text)
    try:
        claims = parse_json(payload)
    except Refused:
        raise BadSignature from None
    subject = claims.get("sub") if isinstance(claims, dict) else None
    if not isinstance(subject, str):
        raise BadSignature
    return subject


def imported(key: ClientKey) -> OKPKey | ECKey:
    """Return a key for verification. Raises ValueError for a point that cannot be a key."""
    if key.y is None and not is_usable_key(decoded(key.x)):
        raise ValueError("not a point of Ed25519 that can be a key")
    jwk: dict[str, Any] = key.jwk()
    try:
        imported = OKPKey.import_key(jwk) if key.y is None else ECKey.import_key(jwk)
        imported.public_key  # noqa: B018 - imports the point
    except JoseError as fault:
        raise ValueError(str(fault)) from None
    return imported


def check_points(keys: Iterable[ClientKey], at: str = "") -> None:
    """Check that each point can be a key. at: the pointer of the set in the body.

    Raises Refused `invalid-submission`.
    """
    faults = []
    for index, key in enumerate(keys):
        try:
            imported(key)
        except ValueError:
            faults.append(
                PointerError(pointer=f"{at}/keys/{index}", detail="Is not a public key of its curve.")
            )
    if faults:
        raise Refused("invalid-submission", "Correct the keys.", errors=faults)


def _parts(text: str) -> tuple[dict[str, Any], bytes]:
    """Return header and payload, not verified."""
    if len(text) > LONGEST_SIGNED:
        raise BadSignature
    try:
        signature = jws.extract_compact(text.encode())
        return dict(signature.headers()), signature.payload
    except (JoseError, ValueError):
        raise BadSignature from None
