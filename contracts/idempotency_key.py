"""The form of an Idempotency-Key. Source: draft-ietf-httpapi-idempotency-key-header."""

from __future__ import annotations

import datetime as dt
from typing import Final

from contracts.errors import PointerError, Refused

HEADER: Final = "idempotency-key"
MAXIMUM_KEY: Final = 255
# Partners repeat a request within hours; a month covers a long outage.
KEYS_KEPT: Final = dt.timedelta(days=30)


def require_well_formed(
    key: str, longest: int = MAXIMUM_KEY, *, where: str = "", pointer: str | None = None
) -> None:
    """Raises Refused `invalid-parameter` for a key that is empty, too long or not printable ASCII.

    where: words after "An Idempotency-Key" in the detail. pointer: the key's place in the body; None when it
    came in a header.
    """
    if not key or len(key) > longest or not key.isascii() or not key.isprintable():
        detail = f"An Idempotency-Key{where} must have 1 to {longest} printable ASCII characters."
        errors = () if pointer is None else (PointerError(pointer=pointer, detail=detail),)
        raise Refused("invalid-parameter", detail, errors=errors)
