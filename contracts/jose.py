"""The JOSE profile of sealed cases and notes: base64url, the permitted algorithms, key thumbprints.

Source: RFC 7515 §2 (base64url), RFC 7516 §7.1 (compact JWE), RFC 7518 §4.6 and §5.3 (the algorithms),
RFC 7638 (thumbprints), RFC 8037 §2 (X25519 as a JWK).
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from typing import Final

# An allow-list, not defaults. `zip` is excluded: compression leaks content through the length of the
# ciphertext, and decompression has no bound.
KEY_MANAGEMENT: Final = "ECDH-ES+A256KW"
CONTENT_ENCRYPTION: Final = "A256GCM"
# apu, apv: RFC 7518 §4.6.1. Any other member could change the meaning of these.
HEADER_MEMBERS: Final = frozenset({"alg", "enc", "kid", "cty", "typ", "epk", "apu", "apv"})
# Characters of a protected header. Those of cases have some 250; libraries open headers of at most 1024
# (joserfc), and a longer one costs time and memory before anything of it is verified.
LONGEST_HEADER: Final = 1024
PUBLIC_KEY: Final = 32  # bytes of an X25519 key
# Lengths in bytes: key, IV and tag (RFC 7518 §5.3); a wrapped key is 8 bytes longer (RFC 3394 §2.2.1).
CONTENT_KEY, IV, TAG = 32, 12, 16
WRAPPED_KEY: Final = CONTENT_KEY + 8

# Characters of a compact JWE, as a partner may submit it.
LONGEST_SEALED: Final = 1_048_576
# The most by which sealing the same content again lengthens it. The ciphertext keeps its length; the hub's
# header is 34 characters longer than the shortest that it accepts.
RESEALING: Final = 256
# Characters of a compact JWE on its way out of the hub, which may seal a case again up to four times.
LONGEST_RESEALED: Final = LONGEST_SEALED + 4 * RESEALING

# To the letters of base64. Letters that base64url lacks become `!`, which neither has.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")

# Whole groups of four characters, then none, two or three. The last of those has no spare bits set.
_BASE64URL: Final = re.compile(
    r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
)


def encoded(data: bytes) -> str:
    """Return base64url without padding: one text for every byte sequence."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes:
    """Decode base64url. Raises ValueError for padding, foreign characters and non-zero trailing bits.

    A lenient decoder would accept several texts for one key or case, which then has more than one name.
    """
    # str.encode raises TypeError for any other value. Cases are long: the bytes are not encoded again.
    standard = str.encode(text, "ascii").translate(_TO_BASE64)
    data = a2b_base64(standard + b"=" * (-len(text) % 4), strict_mode=True)
    if (spare := len(text) % 4) and encoded(data[1 - spare :]) != text[-spare:]:
        raise ValueError("not base64url")
    return data


def is_base64url(text: str) -> bool:
    """Return whether `decoded` accepts the text. Several times faster for a short one."""
    return _BASE64URL.fullmatch(text) is not None


def thumbprint(x: str, curve: str = "X25519") -> str:
    """Return the RFC 7638 thumbprint of the OKP public key `x` (base64url).

    Raises ValueError when `x` is not ASCII.
    """
    members = f'{{"crv":"{curve}","kty":"OKP","x":"{x}"}}'
    return encoded(hashlib.sha256(members.encode("ascii")).digest())
