"""Base64 in one spelling only: otherwise a changed byte could leave a document valid."""

from __future__ import annotations

import base64

from kopuro_client.tlog.errors import MalformedError


def encode(data: bytes) -> str:
    """Standard base64 with padding. Source: RFC 4648 §4."""
    return base64.b64encode(data).decode("ascii")


def decode(text: str, *, what: str) -> bytes:
    """What `encode` wrote. what: names the thing in the MalformedError raised for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error is one; so is a character that is not ASCII
        raise MalformedError(f"{what} is not base64") from None
    if encode(data) != text:
        raise MalformedError(f"{what} is not the one base64 spelling of its bytes")
    return data
