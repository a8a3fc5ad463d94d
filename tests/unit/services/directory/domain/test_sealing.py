"""Validation of published sealing keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.errors import Refused
from contracts.jose import encoded, thumbprint
from contracts.organization import SealingKey
from services.directory.domain.sealing import check_sealing_key
from tests.unit.services.directory.samples import new_sealing_key


def test_valid_key_with_its_thumbprint_passes() -> None:
    # joserfc made the thumbprint, not the code under test
    check_sealing_key(new_sealing_key())


def test_key_with_another_kid_is_refused_with_pointer() -> None:
    with pytest.raises(Refused) as refusal:
        check_sealing_key(replace(new_sealing_key(), kid=new_sealing_key().kid), "/sealing_key")
    assert [error.pointer for error in refusal.value.errors] == ["/sealing_key/kid"]


@pytest.mark.parametrize(
    "x",
    [
        encoded(bytes(32)),
        encoded(b"\x01" + bytes(31)),
        # a point of order eight; RFC 7748 §6.1 describes the check
        encoded(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")),
        # not the canonical base64url of its 32 bytes: unused bits of the last character are set
        "A" * 42 + "B",
    ],
)
def test_low_order_point_is_refused(x: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_sealing_key(SealingKey(kty="OKP", crv="X25519", x=x, kid=thumbprint(x)))
    assert [error.pointer for error in refusal.value.errors] == ["/x"]
