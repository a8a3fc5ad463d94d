"""Checks whether bytes can be a partner's Ed25519 key. Libraries accept every encoding that decodes.

For a point of small order, a signature made without a private key is valid for at least one text in eight,
so anybody could sign as its owner. Source: RFC 8032 §5.1 and §5.1.3.
"""

from __future__ import annotations

from typing import Final

_PRIME: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME
_COFACTOR_DOUBLINGS: Final = 3  # the cofactor is 8
_IDENTITY: Final = 1  # its y


def is_usable_key(encoded: bytes) -> bool:
    """Return whether 32 bytes are the one encoding of a point of the curve that is not of small order."""
    y = int.from_bytes(encoded, "little") % 2**255  # the last bit is the sign of x
    if y >= _PRIME or not _is_square(_x_squared(y)):
        return False
    for _ in range(_COFACTOR_DOUBLINGS):
        y = _doubled(y)
    return y != _IDENTITY


def _x_squared(y: int) -> int:
    return (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME


def _is_square(number: int) -> bool:
    return pow(number, (_PRIME - 1) // 2, _PRIME) in (0, 1)


def _doubled(y: int) -> int:
    """Return y of twice the point. Source: RFC 8032 §5.1.4, where y needs only x squared."""
    square = _x_squared(y)
    return (y * y + square) * pow(1 - _D * square * y * y, -1, _PRIME) % _PRIME
