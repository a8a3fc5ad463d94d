"""JOSE as cases and notes use it: base64url, the one pair of algorithms, key thumbprints.

Source: RFC 7515 §2 (base64url), RFC 7516 §7.1 (compact JWE), RFC 7518 §4.6 and §5.3 (the algorithms),
RFC 7638 (thumbprints), RFC 8037 §2 (X25519 as a JWK).
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

# An allow-list, not a default. No `zip`: what is compressed and encrypted tells about its content by its
# length, and expands without bound.
KEY_MANAGEMENT: Final = "ECDH-ES+A256KW"
CONTENT_ENCRYPTION: Final = "A256GCM"
# apu, apv: RFC 7518 §4.6.1. Anything else could change what the other members mean.
HEADER_MEMBERS: Final = frozenset({"alg", "enc", "kid", "cty", "typ", "epk", "apu", "apv"})
# Bytes: a wrapped key (RFC 3394 §2.2.1: the key of 32 and 8 more), an IV, a tag (RFC 7518 §5.3).
CONTENT_KEY, IV, TAG = 32, 12, 16
WRAPPED_KEY: Final = CONTENT_KEY + 8

LONGEST_SEALED: Final = 1_048_576  # characters of a compact JWE


def encoded(data: bytes) -> str:
    """Base64url without padding: for every sequence of bytes one text."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes:
    """The bytes of that one text. Raises ValueError for padding, foreign characters and spare bits.

    A lenient reader would take many texts for the same key or case, which then has more than one name.
    """
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encoded(data) != text:
        raise ValueError("not base64url")
    return data


def thumbprint(x: str) -> str:
    """The RFC 7638 thumbprint of the X25519 public key `x` (base64url). Raises ValueError outside ASCII."""
    members = f'{{"crv":"X25519","kty":"OKP","x":"{x}"}}'
    return encoded(hashlib.sha256(members.encode("ascii")).digest())
