"""Opening and sealing, for the one pair of algorithms that cases are sealed with.

Source: RFC 7516 §5 (compact serialisation), RFC 7518 §4.6 (ECDH-ES+A256KW, the Concat KDF), §4.4 (key
wrapping), §5.3 (A256GCM), RFC 8037 §3.2 (X25519). The primitives are `cryptography`'s; what stands here is
how they are joined. A library for every algorithm there is costs twice as much for each case, and is steered
by the header that it reads. The tests hold this to such a library, both ways, and to the RFC's own example.
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
    """The JWE was altered, is malformed, or was not sealed to this key. Says no more than that."""


def opened(key: X25519PrivateKey, compact: str, header: dict[str, Any]) -> bytes:
    """The plaintext. header: what the protected header says, its algorithms checked. Raises Unopened."""
    protected, *parts = compact.split(".")
    try:
        wrapped, iv, ciphertext, tag = map(decoded, parts)
        if (len(wrapped), len(iv), len(tag)) != (WRAPPED_KEY, IV, TAG):
            raise Unopened
        ephemeral, apu, apv = _agreement(header)
        shared = key.exchange(ephemeral)
    except (KeyError, TypeError, ValueError):  # ValueError: a public key of small order too
        raise Unopened from None
    # A fault of ours in here must not pass for a case that cannot be opened: that would end its referral.
    wrapping = _derived(shared, apu, apv)
    try:
        content_key = aes_key_unwrap(wrapping, wrapped)
        return AESGCM(content_key).decrypt(iv, ciphertext + tag, protected.encode("ascii"))
    except (InvalidTag, InvalidUnwrap):
        raise Unopened from None


def _agreement(header: dict[str, Any]) -> tuple[X25519PublicKey, bytes, bytes]:
    """The sender's ephemeral key, `apu` and `apv`. Raises KeyError, TypeError or ValueError."""
    epk = header["epk"]
    if (epk["kty"], epk["crv"]) != ("OKP", "X25519"):
        raise ValueError("not an X25519 key")
    ephemeral = X25519PublicKey.from_public_bytes(decoded(epk["x"]))
    return ephemeral, decoded(header.get("apu", "")), decoded(header.get("apv", ""))


def sealed(plaintext: bytes, recipient: str) -> str:
    """A compact JWE for the X25519 public key `recipient`, a JWK's `x`. Raises ValueError for no such key."""
    key, kid = _recipient(recipient)
    # A key pair for this one message (RFC 7518 §4.6): whoever keeps none of it can open none of it again.
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
    # NIST SP 800-56A §5.8.1 by way of RFC 7518 §4.6.2: one round of SHA-256 gives the 256 bits wanted.
    told = b"".join(map(_sized, (KEY_MANAGEMENT.encode("ascii"), apu, apv)))
    return hashlib.sha256(_number(1) + shared + told + _number(8 * CONTENT_KEY)).digest()


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
