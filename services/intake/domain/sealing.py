"""Is it sealed, and to the right key? Read from the open header; the door has no key to look further.

Source: RFC 7516 §3.1 (compact serialisation), RFC 7518 §4.6 and §5.3 (the algorithms).
"""

from __future__ import annotations

import orjson

from contracts.errors import PointerError, Refused
from contracts.jose import (
    CONTENT_ENCRYPTION,
    HEADER_MEMBERS,
    IV,
    KEY_MANAGEMENT,
    TAG,
    WRAPPED_KEY,
    decoded,
    encoded,
)
from contracts.json_names import repeated_name

# Characters of base64url.
_WRAPPED_KEY, _IV, _TAG = (len(encoded(bytes(size))) for size in (WRAPPED_KEY, IV, TAG))


def require_sealed_to(jwe: str, kid: str, pointer: str) -> None:
    """Raises Refused `case-not-sealed`, with the pointer, unless the JWE is sealed to the key `kid`."""
    if require_sealed(jwe, pointer) != kid:
        raise _refused(pointer, "It is sealed to another key than the receiver's present one.")


def require_sealed(jwe: str, pointer: str) -> str:
    """The id of the key that the JWE is sealed to. Raises Refused `case-not-sealed`, with the pointer.

    Allowed is one algorithm for the key and one for the content. Compression is refused: what a message
    compresses to tells what is in it.
    """
    protected, *parts = jwe.split(".")
    header = _header(protected)
    if header is None:
        raise _refused(pointer, "The JWE's header cannot be read.")
    if header.get("alg") != KEY_MANAGEMENT or header.get("enc") != CONTENT_ENCRYPTION or "zip" in header:
        raise _refused(
            pointer, f"Only {KEY_MANAGEMENT} with {CONTENT_ENCRYPTION}, not compressed, is accepted."
        )
    if not header.keys() <= HEADER_MEMBERS:
        raise _refused(pointer, "The JWE's header has members that are not understood here.")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise _refused(pointer, "The JWE's header does not name its key (kid).")
    wrapped_key, iv, ciphertext, tag = map(len, parts) if len(parts) == 4 else (0, 0, 0, 0)
    sizes_are_right = (wrapped_key, iv, tag) == (_WRAPPED_KEY, _IV, _TAG) and ciphertext > 0
    if not (sizes_are_right and all(map(_is_base64url, parts))):
        raise _refused(pointer, "The JWE's parts are not those of something sealed.")
    return kid


def _is_base64url(part: str) -> bool:
    # The contract has checked the alphabet. A wrong length and spare bits show in the last few characters.
    # Nobody could open a case with wrong ones, and its sender would learn that only after the 202.
    try:
        decoded(part[len(part) - len(part) % 4 :])
    except ValueError:
        return False
    return True


def _header(protected: str) -> dict[str, object] | None:
    try:
        text = decoded(protected)
        header = orjson.loads(text)
        # RFC 7515 §4: the names in a header must be unique.
        unique = repeated_name(text, header) is None
    except ValueError:
        return None
    return header if unique and isinstance(header, dict) else None


def _refused(pointer: str, detail: str) -> Refused:
    error = PointerError(pointer=pointer, detail=detail)
    return Refused("case-not-sealed", "It is not sealed as the contract asks.", errors=(error,))
