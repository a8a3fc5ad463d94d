"""Validation of sealing keys, because a bad key would fail only when a case is released."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from contracts.errors import PointerError, Refused
from contracts.jose import decoded, thumbprint
from contracts.organization import SealingKey

# Any scalar works: clamped, it is a multiple of the cofactor and maps a low-order point to zero.
_PROBE: Final = X25519PrivateKey.from_private_bytes(b"\x01" * 32)


def check_sealing_key(key: SealingKey, pointer: str = "") -> None:
    """Check a sealing key. Raises Refused `invalid-submission` with pointers below `pointer`.

    The kid must be the key's RFC 7638 thumbprint, because sealed cases name their key by it. The point must
    not be of low order (RFC 7748 §6.1), because anybody could decrypt content sealed to it.
    """
    errors = []
    if not _can_be_sealed_to(key.x):
        errors.append(
            PointerError(
                pointer=f"{pointer}/x", detail="Must be an X25519 public key that is not of low order."
            )
        )
    elif key.kid != thumbprint(key.x):
        errors.append(PointerError(pointer=f"{pointer}/kid", detail="Must be the key's RFC 7638 thumbprint."))
    if errors:
        raise Refused("invalid-submission", "The sealing key is invalid.", errors=errors)


def _can_be_sealed_to(x: str) -> bool:
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(decoded(x)))
    except ValueError:
        return False
    return True
