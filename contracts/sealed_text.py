"""Checks that a text is a compact JWE of this network's profile. Only its header is read; no key is needed.

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
    LONGEST_HEADER,
    PUBLIC_KEY,
    TAG,
    WRAPPED_KEY,
    decoded,
    encoded,
    is_base64url,
)
from contracts.json_names import repeated_name

_PARTS = 5  # the parts of a compact JWE
# Characters of base64url.
_PUBLIC_KEY, _WRAPPED_KEY, _IV, _TAG = (
    len(encoded(bytes(size))) for size in (PUBLIC_KEY, WRAPPED_KEY, IV, TAG)
)


def require_sealed(jwe: str, pointer: str) -> str:
    """Return the id of the key that the JWE is sealed to. Raises Refused `case-not-sealed` with the pointer.

    One key algorithm and one content algorithm are allowed. Compression is refused because the compressed
    length reveals content.
    """
    protected, *parts = jwe.split(".", _PARTS)
    if len(protected) > LONGEST_HEADER:
        raise not_sealed(pointer, f"The JWE header is longer than {LONGEST_HEADER} characters.")
    header = _header(protected)
    if header is None:
        raise not_sealed(pointer, "The JWE header cannot be read.")
    if header.get("alg") != KEY_MANAGEMENT or header.get("enc") != CONTENT_ENCRYPTION or "zip" in header:
        raise not_sealed(
            pointer, f"The JWE must use {KEY_MANAGEMENT} with {CONTENT_ENCRYPTION}, without compression."
        )
    if not header.keys() <= HEADER_MEMBERS:
        raise not_sealed(pointer, "The JWE header has unsupported members.")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise not_sealed(pointer, "The JWE header must name its key (`kid`).")
    if not (_is_ephemeral(header.get("epk")) and all(map(_is_party, (header.get("apu"), header.get("apv"))))):
        raise not_sealed(
            pointer, "The JWE header must have a public X25519 key (`epk`), and `apu` and `apv` in base64url."
        )
    wrapped_key, iv, ciphertext, tag = map(len, parts) if len(parts) == 4 else (0, 0, 0, 0)
    sizes_are_right = (wrapped_key, iv, tag) == (_WRAPPED_KEY, _IV, _TAG) and ciphertext > 0
    if not (sizes_are_right and all(map(_ends_well, parts))):
        raise not_sealed(pointer, "The parts of the JWE have invalid lengths or encoding.")
    return kid


def _is_ephemeral(epk: object) -> bool:
    if not isinstance(epk, dict) or (epk.get("kty"), epk.get("crv")) != ("OKP", "X25519") or "d" in epk:
        return False
    x = epk.get("x")
    return isinstance(x, str) and len(x) == _PUBLIC_KEY and is_base64url(x)


def _is_party(info: object) -> bool:
    return info is None or (isinstance(info, str) and is_base64url(info))


def _ends_well(part: str) -> bool:
    # The contract has checked the alphabet; the last characters show a wrong length or spare bits. Such a
    # case could not be opened, and its sender would learn that only after the 202.
    return is_base64url(part[len(part) - len(part) % 4 :])


def _header(protected: str) -> dict[str, object] | None:
    try:
        text = decoded(protected)
        header = orjson.loads(text)
        # RFC 7515 §4: the names in a header must be unique.
        unique = repeated_name(text, header) is None
    except ValueError:
        return None
    return header if unique and isinstance(header, dict) else None


def not_sealed(pointer: str, detail: str) -> Refused:
    """Return the refusal `case-not-sealed` with the pointer."""
    error = PointerError(pointer=pointer, detail=detail)
    return Refused(
        "case-not-sealed",
        "Seal the text again; `errors` says what is wrong.",
        errors=(error,),
    )
