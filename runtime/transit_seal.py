"""Sealing of the key part of a JWE to a transit key: HPKE (RFC 9180) in base mode, and AES-256-GCM.

Each process seals a random session key to the transit key once: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
AES-256-GCM. Messages are sealed with the session key and a random nonce. Transit key and subject are the
associated data, so that a sealed key opens for its own message only. An HPKE ciphertext for each message
would nearly double the CPU time of an admission. The sender can open what it sealed while its process
remembers the session key, in memory only.

Layout of `TransitSeal.key`: the HPKE ciphertext of the session key (80 bytes), nonce (12), ciphertext and
tag.

A compact JWE is cut after its second part (RFC 7516 §7.1: header, wrapped key, IV, ciphertext, tag). The
recipient's key opens the wrapped key, so nobody can open a JWE without the wrapped key. Only some 300 bytes
are sealed, however long the JWE is.
"""

from __future__ import annotations

from functools import lru_cache
from secrets import token_bytes
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from contracts.facts import TransitSeal
from contracts.jose import CONTENT_KEY, IV, TAG, decoded, encoded, thumbprint

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PURPOSE: Final = b"kopuro transit 1"
_SESSION: Final = 32 + CONTENT_KEY + TAG  # bytes: the ephemeral key, the session key, the tag


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
    kid, sealed_session, session = _new_session(x)
    nonce = token_bytes(IV)
    key = session.encrypt(nonce, f"{header}.{wrapped_key}".encode(), _bound(kid, subject))
    return TransitSeal(kid=kid, key=encoded(sealed_session + nonce + key)), ".".join(rest)


def open_sealed(key: TransitSeal, rest: str, secret: bytes, subject: str) -> str:
    """Return the whole compact JWE. secret: the private X25519 key. Raises TransitUnopened."""
    try:
        sealed = decoded(key.key)
        session = _session(secret, sealed[:_SESSION])
        nonce, text = sealed[_SESSION : _SESSION + IV], sealed[_SESSION + IV :]
        opened = session.decrypt(nonce, text, _bound(key.kid, subject))
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


def forget() -> None:
    """Forget the session keys of opened messages: call it when a transit key is destroyed."""
    _session.cache_clear()


@lru_cache(maxsize=2)
def _new_session(x: str) -> tuple[str, bytes, AESGCM]:
    session = token_bytes(CONTENT_KEY)
    public = X25519PublicKey.from_public_bytes(decoded(x))
    return thumbprint(x), _SUITE.encrypt(session, public, info=_PURPOSE), AESGCM(session)


@lru_cache(maxsize=64)
def _session(secret: bytes, sealed: bytes) -> AESGCM:
    return AESGCM(_SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(secret), info=_PURPOSE))


def _bound(kid: str, subject: str) -> bytes:
    return b"\n".join((_PURPOSE, kid.encode(), subject.encode()))
