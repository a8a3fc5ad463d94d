"""The id of a part of a referral, which follows from the referral's id and the part's position."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

MOST_PARTS = 10
_RANDOM_BITS = 80
_VERSION_7, _VARIANT = 0x7 << 76, 0b10 << 62
_FREE_BITS = ((1 << 12) - 1) << 64 | (1 << 62) - 1


def part_id(referral_id: str, position: int) -> str:
    """Return the id of the part at a position, counted from 1.

    A UUIDv7 (RFC 9562 §5.7) with the time of the referral's id, so that ids stay ordered by time, and 74 bits
    of a hash in place of the random ones. The referral's id has as many random bits, which cannot be derived
    from another id (`runtime/identifiers.py`). So somebody who knows the part's id cannot find it by trying.
    """
    time = UUID(referral_id).int >> _RANDOM_BITS
    digest = sha256(f"kopuro part {position} of {referral_id}".encode()).digest()
    free = int.from_bytes(digest[:10], "big") & _FREE_BITS
    return str(UUID(int=time << _RANDOM_BITS | _VERSION_7 | _VARIANT | free))


def is_part_of(referral_id: str, whole: str) -> bool:
    """Return whether the id is that of a part of the whole. Total for any text."""
    try:
        return any(part_id(whole, position) == referral_id for position in range(1, MOST_PARTS + 1))
    except ValueError:
        return False
