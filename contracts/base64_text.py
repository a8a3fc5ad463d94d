"""Canonical base64 with padding. Source: RFC 4648 §4. For base64url see `contracts.jose`."""

from __future__ import annotations

from base64 import b64decode, b64encode


def encoded(data: bytes) -> str:
    """Return base64 with padding: one text for every byte sequence."""
    return b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """Decode base64. Raises ValueError for foreign characters, wrong padding and non-zero trailing bits.

    A lenient decoder would accept a changed character in a signed text or a proof.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    if encoded(data) != text:
        raise ValueError("not canonical base64")
    return data
