"""Is it sealed, and to the right key? Read from the open header; the door has no key to look further.

Source: RFC 7516 §3.1 (compact serialisation), RFC 7518 §4.6 and §5.3 (the algorithms).
"""

from __future__ import annotations

import base64
import binascii

import orjson

from contracts.errors import PointerError, Refused
from contracts.json_names import repeated_name

ALGORITHM = "ECDH-ES+A256KW"
ENCRYPTION = "A256GCM"
# Anything else could change what the others mean; the vault would refuse it later, and less politely.
_MEMBERS = frozenset({"alg", "enc", "kid", "cty", "typ", "epk", "apu", "apv"})

# In base64url: a wrapped key of 40 bytes (RFC 3394 §2.2.1), an IV of 12, a tag of 16 (RFC 7518 §5.3).
_WRAPPED_KEY, _IV, _TAG = 54, 16, 22


def require_sealed_to(jwe: str, kid: str, pointer: str) -> None:
    """Raises Refused `case-not-sealed`, with the pointer, unless the JWE is sealed to the key `kid`."""
    if require_sealed(jwe, pointer) != kid:
        raise _refused(pointer, "It is sealed to another key than the receiver's present one.")


def require_sealed(jwe: str, pointer: str) -> str:
    """The id of the key that the JWE is sealed to. Raises Refused `case-not-sealed`, with the pointer.

    Allowed is one algorithm for the key and one for the content. Compression is refused: what a message
    compresses to tells what is in it.
    """
    encoded, *parts = jwe.split(".")
    header = _header(encoded)
    if header is None:
        raise _refused(pointer, "The JWE's header cannot be read.")
    if header.get("alg") != ALGORITHM or header.get("enc") != ENCRYPTION or "zip" in header:
        raise _refused(pointer, f"Only {ALGORITHM} with {ENCRYPTION}, not compressed, is accepted.")
    if not header.keys() <= _MEMBERS:
        raise _refused(pointer, "The JWE's header has members that are not understood here.")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise _refused(pointer, "The JWE's header does not name its key (kid).")
    wrapped_key, iv, ciphertext, tag = map(len, parts) if len(parts) == 4 else (0, 0, 0, 0)
    if (wrapped_key, iv, tag) != (_WRAPPED_KEY, _IV, _TAG) or ciphertext == 0:
        raise _refused(pointer, "The JWE's parts are not those of something sealed.")
    return kid


def _header(encoded: str) -> dict[str, object] | None:
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        header = orjson.loads(text)
        # RFC 7515 §4: the names in a header must be unique.
        unique = repeated_name(text, header) is None
    except (binascii.Error, ValueError):
        return None
    return header if unique and isinstance(header, dict) else None


def _refused(pointer: str, detail: str) -> Refused:
    error = PointerError(pointer=pointer, detail=detail)
    return Refused("case-not-sealed", "It is not sealed as the contract asks.", errors=(error,))
