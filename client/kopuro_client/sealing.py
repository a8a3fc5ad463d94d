"""Sealing a case to a key and opening it. A person's data is only ever transmitted sealed.

JWE compact serialisation (RFC 7516) with `ECDH-ES+A256KW` over X25519 (RFC 8037) and `A256GCM`.
These two are an allow-list, not a default: a sealed case with any other algorithm, or with compression, is
not opened. Keys are JWKs (RFC 7517). A key's `kid` is its thumbprint (RFC 7638), so a key cannot be replaced
by another of the same id.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from kopuro_client.arguments import text
from kopuro_client.errors import SealingError, UnreadableError, WrongKeyError
from kopuro_client.json_values import json_fault
from kopuro_client.records import Jwk

KEY_MANAGEMENT: Final = "ECDH-ES+A256KW"
CONTENT_ENCRYPTION: Final = "A256GCM"
CONTENT_TYPE: Final = "application/json"
MAX_SEALED: Final = 1_048_576  # characters of a compact JWE; a hub refuses a longer one
LONGEST_HEADER: Final = 1024  # characters of the protected header; a hub refuses a longer one
# A hub seals a case again, to the acceptor, and its header may be longer than the sender's.
MAX_OPENED: Final = MAX_SEALED + 1024

# Errors that the libraries raise for malformed input.
_MALFORMED = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class _Registry(jwe.JWERegistry):
    """Raises the library's limit of 64 KiB, which is less than one scanned page."""

    max_ciphertext_length = MAX_OPENED


_REGISTRY = _Registry(algorithms=[KEY_MANAGEMENT, CONTENT_ENCRYPTION])


def generate_key() -> Jwk:
    """Return a new private sealing key: {"kty": "OKP", "crv": "X25519", "x", "d", "kid"}."""
    return _exported(OKPKey.generate_key("X25519"), private=True)


def public_key(private_jwk: Mapping[str, Any]) -> Jwk:
    """Return the public key of a sealing key, for publication in the directory.

    Raises SealingError if the key is not an X25519 key, or if its kid is not its thumbprint.
    """
    return _exported(_key(private_jwk), private=False)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the key's RFC 7638 thumbprint (SHA-256, base64url), which is its kid. Raises SealingError."""
    return _key(jwk).thumbprint()


def seal(case: Mapping[str, Any], recipient_jwk: Mapping[str, Any]) -> str:
    """Return the case as a compact JWE that only the holder of the recipient's private key can open.

    case: any JSON object; use `check_case` to validate it. Sealing a case twice gives two different results.
    Raises SealingError if the key is invalid, if the case has no JSON form, or if the result is longer than
    MAX_SEALED.
    """
    key = _key(recipient_jwk)
    header = {
        "alg": KEY_MANAGEMENT,
        "enc": CONTENT_ENCRYPTION,
        "kid": key.thumbprint(),
        "cty": CONTENT_TYPE,
    }
    try:
        plaintext = json.dumps(case, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        sealed = jwe.encrypt_compact(header, plaintext.encode(), key, registry=_REGISTRY)
    except _MALFORMED as error:
        fault = json_fault(case)
        where = "" if fault is None else f": it {fault}"
        raise SealingError(f"the case cannot be written as JSON and sealed{where}") from error
    if len(sealed) > MAX_SEALED:
        raise SealingError(f"the sealed case has {len(sealed)} characters; at most {MAX_SEALED} are allowed")
    return sealed


def open_sealed(sealed: str, private_jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object that was sealed to this key.

    Raises UnreadableError if the case is malformed, altered, compressed or sealed with other algorithms,
    WrongKeyError if its header names another key, SealingError if the given key is invalid or public.
    Messages never quote content.
    """
    key = _key(private_jwk)
    if not key.is_private:
        raise SealingError("the given key is a public key; opening a case requires the private key")
    if len(text(sealed, "a sealed case")) > MAX_OPENED:
        raise _unreadable(f"the sealed case is longer than {MAX_OPENED} characters")
    try:
        _check_header(_header(sealed), key.thumbprint())
        plaintext = jwe.decrypt_compact(sealed, key, registry=_REGISTRY).plaintext or b""
    except _MALFORMED as error:
        raise _unreadable(
            "cannot open the sealed case: it is malformed, altered, or sealed to another key"
        ) from error
    try:
        opened = json.loads(plaintext)
    except (ValueError, RecursionError):
        opened = None
    if not isinstance(opened, dict):
        raise UnreadableError("the sealed content is not a JSON object", reason="not_understood")
    return opened


def key_for(sealed: str, private_jwks: Sequence[Jwk]) -> Jwk:
    """Return the key that the header of a sealed case names; the first one if it names none of them.

    `open_sealed` then says what is wrong.
    """
    try:
        kid = _header(sealed).get("kid")
    except _MALFORMED:
        kid = None
    for jwk in private_jwks:
        if kid is not None and thumbprint(jwk) == kid:
            return jwk
    return private_jwks[0]


def _header(sealed: str) -> Mapping[str, Any]:
    """Return the protected header, unverified, so that it can be checked before decryption."""
    segment = sealed.partition(".")[0]
    if len(segment) > LONGEST_HEADER:
        raise ValueError("the header is too long")
    header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if not isinstance(header, dict):
        raise TypeError("the header is not an object")
    return header


def _check_header(header: Mapping[str, Any], kid: str) -> None:
    if (header.get("alg"), header.get("enc")) != (KEY_MANAGEMENT, CONTENT_ENCRYPTION):
        raise _unreadable(f"the case is not sealed with {KEY_MANAGEMENT} and {CONTENT_ENCRYPTION}")
    if "zip" in header:
        raise _unreadable("the sealed case is compressed, which is not allowed")
    if header.get("kid") != kid:
        raise WrongKeyError(f"the case is sealed to another key than {kid}")


def _unreadable(message: str) -> UnreadableError:
    return UnreadableError(message, reason="cannot_decrypt")


def _key(jwk: Mapping[str, Any]) -> OKPKey:
    try:
        if jwk["kty"] != "OKP" or jwk["crv"] != "X25519":
            raise SealingError("the sealing key is not an X25519 key (kty OKP, crv X25519)")
        # Other members ("use", "alg") are dropped, because they would change how the key is used.
        key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "d") if name in jwk})
        kid = key.thumbprint()
    except _MALFORMED as error:
        raise SealingError("the sealing key is not a valid JWK") from error
    if jwk.get("kid", kid) != kid:
        raise SealingError("the sealing key's kid is not its thumbprint")
    return key


def _exported(key: OKPKey, *, private: bool) -> Jwk:
    members = key.as_dict(private=private)
    jwk = Jwk(kty="OKP", crv="X25519", x=str(members["x"]), kid=key.thumbprint())
    if private:
        jwk["d"] = str(members["d"])
    return jwk
