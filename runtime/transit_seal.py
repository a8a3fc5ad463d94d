"""Sealing of the key part of a JWE to a transit key: HPKE (RFC 9180) in base mode, single shot.

DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. `info` contains the transit key and the subject, so that
a sealed key opens for its own message only. A fresh ephemeral key for each message: the sender cannot open
what it sealed.

A compact JWE is cut after its second part (RFC 7516 §7.1: header, wrapped key, IV, ciphertext, tag). The
wrapped key is what the recipient's key opens, so a JWE without it is as closed as one without its recipient's
key, and only some 300 bytes are sealed, however long the JWE.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from contracts.facts import TransitSeal
from contracts.jose import decoded, encoded, thumbprint

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE: Final = b"kopuro transit 1"


class TransitUnopened(Exception):
    """The sealed key was altered, or was sealed to another transit key or subject. Carries no detail."""


def seal(compact: str, x: str, subject: str) -> tuple[TransitSeal, str]:
    """Return the sealed first two parts of a compact JWE, and its last three.

    x: the transit key's public half, base64url. subject: the referral's id. Raises ValueError for another
    form.
    """
    header, wrapped_key, *rest = compact.split(".")
    if len(rest) != 3:
        raise ValueError("not a JWE in compact serialisation")
    public, kid = _public(x)
    key = _SUITE.encrypt(f"{header}.{wrapped_key}".encode(), public, info=_info(kid, subject))
    return TransitSeal(kid=kid, key=encoded(key)), ".".join(rest)


def open_sealed(key: TransitSeal, rest: str, secret: bytes, subject: str) -> str:
    """Return the whole compact JWE. secret: the private X25519 key. Raises TransitUnopened."""
    private = X25519PrivateKey.from_private_bytes(secret)
    try:
        opened = _SUITE.decrypt(decoded(key.key), private, info=_info(key.kid, subject))
    except (InvalidTag, ValueError):
        raise TransitUnopened from None
    return f"{opened.decode('ascii')}.{rest}"


def generate() -> tuple[str, str, bytes]:
    """Return a new transit key: its id, its public half (base64url) and its private half."""
    private = X25519PrivateKey.generate()
    x = encoded(private.public_key().public_bytes_raw())
    return thumbprint(x), x, private.private_bytes_raw()


def public_half(secret: bytes) -> tuple[str, str]:
    """Return the id and the public half (base64url) of a private key."""
    x = encoded(X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw())
    return thumbprint(x), x


@lru_cache(maxsize=8)
def _public(x: str) -> tuple[X25519PublicKey, str]:
    return X25519PublicKey.from_public_bytes(decoded(x)), thumbprint(x)


def _info(kid: str, subject: str) -> bytes:
    return b"\n".join((_PURPOSE, kid.encode(), subject.encode()))
