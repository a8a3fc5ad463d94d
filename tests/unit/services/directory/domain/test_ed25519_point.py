from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from services.directory.domain.ed25519_point import is_usable_key

PRIME = 2**255 - 19
# The y of the eight points of small order; the four of order 8 share two. Each is checked below against a
# signature that nobody made.
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_ORDER_8_TOO = PRIME - _ORDER_8
SMALL = {1: "order 1", PRIME - 1: "order 2", 0: "order 4", _ORDER_8: "order 8", _ORDER_8_TOO: "order 8"}
SIGN = 1 << 255


def encoded(value: int) -> bytes:
    return value.to_bytes(32, "little")


def _signs_for_everybody(key: bytes) -> bool:
    """Return whether a signature without a private key fits one of 200 texts."""
    signature = encoded(1) + bytes(32)
    for number in range(200):
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, b"%d" % number)
        except InvalidSignature:
            continue
        return True
    return False


@pytest.mark.parametrize("sign", [0, SIGN])
@pytest.mark.parametrize("y", SMALL, ids=lambda y: f"{SMALL[y]}-{y % 1000}")
def test_points_of_small_order_are_not_keys(y: int, sign: int) -> None:
    assert _signs_for_everybody(encoded(y | sign)) or y in (1, PRIME - 1)  # with x = 0 the sign is an error
    assert not is_usable_key(encoded(y | sign))


@pytest.mark.parametrize("y", [PRIME, PRIME + 1, 2**255 - 1, PRIME + 3], ids=lambda y: f"p+{y - PRIME}")
def test_second_encodings_of_a_point_are_not_keys(y: int) -> None:
    assert not is_usable_key(encoded(y))
    assert not is_usable_key(encoded(y | SIGN))


def test_bytes_that_encode_no_point_are_refused_as_a_key() -> None:
    assert not is_usable_key(encoded(2))  # y = 2 has no x


@given(st.binary(min_size=32, max_size=32))
def test_keys_of_private_keys_are_usable(private: bytes) -> None:
    assert is_usable_key(Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())
