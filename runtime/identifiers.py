"""New identifiers: UUIDv7, ordered by creation time to the millisecond (RFC 9562 §5.7)."""

from __future__ import annotations

import uuid_utils


def new_id() -> str:
    """Return a new UUIDv7 in its canonical lower-case text form."""
    return str(uuid_utils.uuid7())
