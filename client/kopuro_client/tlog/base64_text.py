"""Canonical base64. Other encodings are refused, because they would let a changed byte go undetected."""

from __future__ import annotations

import base64

from kopuro_client.tlog.errors import MalformedError


def encode(data: bytes) -> str:
    """Return standard base64 with padding. Source: RFC 4648 §4."""
    return base64.b64encode(data).decode("ascii")


def decode(text: str, *, what: str) -> bytes:
    """Return the bytes that `encode` encoded. Raises MalformedError, naming `what`, for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error is one; so is a character that is not ASCII
        raise MalformedError(f"{what} is not base64") from None
    if encode(data) != text:
        raise MalformedError(f"{what} is not canonical base64")
    return data
