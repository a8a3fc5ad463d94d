"""New identifiers: UUIDv7, ordered by creation time to the millisecond (RFC 9562 §5.7)."""

from __future__ import annotations

import secrets
from typing import Final
from uuid import UUID

import uuid_utils

_RANDOM_BITS: Final = 80
_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0b10 << 62
_LOW: Final = (1 << 62) - 1


def new_id() -> str:
    """Return a new UUIDv7 in its canonical lower-case text form.

    The ids of a process rise. Those of one millisecond differ by little more than 32 random bits, so somebody
    who knows one can find its neighbours by trying.
    """
    return str(uuid_utils.uuid7())


def new_unguessable_id() -> str:
    """Return a new UUIDv7 that follows from no other id: 74 bits of it are random.

    Ids of one millisecond have no order.
    """
    time, random = UUID(new_id()).int >> _RANDOM_BITS, secrets.randbits(74)
    return str(UUID(int=time << _RANDOM_BITS | _VERSION_AND_VARIANT | random >> 62 << 64 | random & _LOW))
