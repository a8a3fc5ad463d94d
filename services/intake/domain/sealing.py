"""Is it sealed, and to the right key? Read from the open header; the door has no key to look further.

Source: RFC 7516 §3.1 (compact serialisation), RFC 7518 §4.6 and §5.3 (the algorithms).
"""

from __future__ import annotations

import base64
import binascii

import orjson

from contracts.errors import PointerError, Refused

ALGORITHM = "ECDH-ES+A256KW"
ENCRYPTION = "A256GCM"


def require_sealed_to(jwe: str, kid: str, pointer: str) -> None:
    """Raises Refused `case-not-sealed`, with the pointer, unless the JWE is sealed to the key `kid`.

    Allowed is one algorithm for the key and one for the content. Compression is refused: what a message
    compresses to tells what is in it.
    """
    header = _header(jwe)
    if header is None:
        raise _refused(pointer, "The JWE's header cannot be read.")
    if header.get("alg") != ALGORITHM or header.get("enc") != ENCRYPTION or "zip" in header:
        raise _refused(pointer, f"Only {ALGORITHM} with {ENCRYPTION}, not compressed, is accepted.")
    if header.get("kid") != kid:
        raise _refused(pointer, "It is sealed to another key than the receiver's present one.")


def _header(jwe: str) -> dict[str, object] | None:
    encoded = jwe.partition(".")[0]
    try:
        header = orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        return None
    return header if isinstance(header, dict) else None


def _refused(pointer: str, detail: str) -> Refused:
    error = PointerError(pointer=pointer, detail=detail)
    return Refused("case-not-sealed", "It is not sealed as the contract asks.", errors=(error,))
