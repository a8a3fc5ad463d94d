"""Base64url without padding (RFC 7515 §2): for every sequence of bytes one text, and no other is read.

A lenient reader would take many texts for the same key or case, which is then known by more than one name.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encoded(data: bytes) -> str:
    """The one text."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes:
    """Raises ValueError for what is not base64url: padding, foreign characters and spare bits included."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encoded(data) != text:
        raise ValueError("not base64url")
    return data
