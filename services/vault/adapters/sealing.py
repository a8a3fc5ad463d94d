"""Opening and sealing of JWEs with the one pair of algorithms that cases use.

Source: RFC 7516 §5 (compact serialisation), RFC 7518 §4.6 (ECDH-ES+A256KW, the Concat KDF), §4.4 (key
wrapping), §5.3 (A256GCM), RFC 8037 §3.2 (X25519). `cryptography` provides the primitives; this
module composes them. A general JOSE library takes twice as long for each case and lets the header choose the
algorithm. The tests check this module against such a library in both directions, and the RFC's example.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from secrets import token_bytes
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from contracts.jose import (
    CONTENT_ENCRYPTION,
    CONTENT_KEY,
    IV,
    KEY_MANAGEMENT,
    TAG,
    WRAPPED_KEY,
    decoded,
    encoded,
    thumbprint,
)


class Unopened(Exception):
    """The JWE was altered, is malformed, or was not sealed to this key. Carries no detail."""


def opened(key: X25519PrivateKey, compact: str, header: dict[str, Any]) -> bytes:
    """Return the plaintext. header: the decoded protected header, algorithms checked. Raises Unopened."""
    protected, *parts = compact.split(".")
    try:
        wrapped, iv, ciphertext, tag = map(decoded, parts)
        if (len(wrapped), len(iv), len(tag)) != (WRAPPED_KEY, IV, TAG):
            raise Unopened
        ephemeral, apu, apv = _agreement(header)
        shared = key.exchange(ephemeral)
    except (KeyError, TypeError, ValueError):  # ValueError also for a public key of small order
        raise Unopened from None
    # Outside the try: a defect in `_derived` must not look like an unreadable case, which ends the referral.
    wrapping = _derived(shared, apu, apv)
    try:
        content_key = aes_key_unwrap(wrapping, wrapped)
        return AESGCM(content_key).decrypt(iv, ciphertext + tag, protected.encode("ascii"))
    except (InvalidTag, InvalidUnwrap):
        raise Unopened from None


def _agreement(header: dict[str, Any]) -> tuple[X25519PublicKey, bytes, bytes]:
    """Return the sender's ephemeral key, `apu` and `apv`. Raises KeyError, TypeError or ValueError."""
    epk = header["epk"]
    if (epk["kty"], epk["crv"]) != ("OKP", "X25519"):
        raise ValueError("not an X25519 key")
    ephemeral = X25519PublicKey.from_public_bytes(decoded(epk["x"]))
    return ephemeral, decoded(header.get("apu", "")), decoded(header.get("apv", ""))


def sealed(plaintext: bytes, recipient: str) -> str:
    """Return a compact JWE for an X25519 public key. recipient: a JWK's `x`. Raises ValueError if invalid."""
    key, kid = _recipient(recipient)
    # A fresh key pair for each message (RFC 7518 §4.6), discarded afterwards.
    ephemeral = X25519PrivateKey.generate()
    x = encoded(ephemeral.public_key().public_bytes_raw())
    header = {
        "alg": KEY_MANAGEMENT,
        "enc": CONTENT_ENCRYPTION,
        "kid": kid,
        "cty": "application/json",
        "epk": {"kty": "OKP", "crv": "X25519", "x": x},
    }
    protected = encoded(orjson.dumps(header))
    content_key, iv = token_bytes(CONTENT_KEY), token_bytes(IV)
    wrapped = aes_key_wrap(_derived(ephemeral.exchange(key), b"", b""), content_key)
    encrypted = AESGCM(content_key).encrypt(iv, plaintext, protected.encode("ascii"))
    parts = (encoded(wrapped), encoded(iv), encoded(encrypted[:-TAG]), encoded(encrypted[-TAG:]))
    return ".".join((protected, *parts))


@lru_cache(maxsize=1024)
def _recipient(x: str) -> tuple[X25519PublicKey, str]:
    return X25519PublicKey.from_public_bytes(decoded(x)), thumbprint(x)


def _derived(shared: bytes, apu: bytes, apv: bytes) -> bytes:
    # NIST SP 800-56A §5.8.1, as RFC 7518 §4.6.2 uses it: one round of SHA-256 gives the required 256 bits.
    info = b"".join(map(_sized, (KEY_MANAGEMENT.encode("ascii"), apu, apv)))
    return hashlib.sha256(_number(1) + shared + info + _number(8 * CONTENT_KEY)).digest()


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
