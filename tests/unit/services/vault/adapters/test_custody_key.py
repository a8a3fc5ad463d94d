from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.organization import SealingKey
from contracts.records import read
from kopuro_client.sealing import generate_key, open_sealed, public_key, seal
from services.vault.adapters.custody_key import CustodyKeyInMemory
from services.vault.domain.sealed import SealedCase
from services.vault.ports import UnusableKey

CASE = {"name": "Айгерим Токтогулова"}
SECRET = generate_key()


def key_of(jwk: Any) -> CustodyKeyInMemory:
    return CustodyKeyInMemory(dict(jwk))


def test_custody_key_opens_and_reseals_case_of_client() -> None:
    recipient = generate_key()
    case = SealedCase.split(seal(CASE, public_key(SECRET)))
    assert json.loads(key_of(SECRET).open(case)) == CASE
    resealed = key_of(SECRET).reseal(case, read(SealingKey, dict(public_key(recipient))))
    assert open_sealed(resealed, recipient) == CASE
    assert SealedCase.split(resealed).kid() == recipient["kid"]


def test_resealed_case_has_fresh_key() -> None:
    recipient = read(SealingKey, dict(public_key(generate_key())))
    case = SealedCase.split(seal(CASE, public_key(SECRET)))
    halves = [SealedCase.split(key_of(SECRET).reseal(case, recipient)) for _ in range(2)]
    assert len({half.wrapped_key for half in halves} | {case.wrapped_key}) == 3
    assert len({half.ciphertext for half in halves} | {case.ciphertext}) == 3


def test_large_case_can_be_opened() -> None:
    large = {"name": "A", "narrative": "x" * 700_000}
    assert json.loads(key_of(SECRET).open(SealedCase.split(seal(large, public_key(SECRET))))) == large


def test_halves_of_different_cases_do_not_open() -> None:
    first, second = (SealedCase.split(seal(CASE, public_key(SECRET))) for _ in range(2))
    crossed = SealedCase(wrapped_key=first.wrapped_key, ciphertext=second.ciphertext)
    with pytest.raises(Refused) as refused:
        key_of(SECRET).open(crossed)
    assert refused.value.slug == "case-unreadable"
    assert refused.value.__suppress_context__


def test_reseal_to_low_order_key_raises() -> None:
    # A point of low order (RFC 7748 §6.1).
    recipient = SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid="k")
    with pytest.raises(UnusableKey):
        key_of(SECRET).reseal(SealedCase.split(seal(CASE, public_key(SECRET))), recipient)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        dict(public_key(SECRET)),
        {**SECRET, "crv": "Ed25519"},
        {**SECRET, "kty": "EC"},
        {**SECRET, "d": 7},
        {**SECRET, "d": "AA"},
    ],
)
def test_jwk_that_is_not_a_private_x25519_key_is_refused(jwk: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(jwk))
    with pytest.raises(ValueError, match="X25519") as fault:
        CustodyKeyInMemory.read(file)
    assert SECRET["d"] not in str(fault.value)


def test_key_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text("secret")
    with pytest.raises(ValueError):  # noqa: PT011 - the message is the library's
        CustodyKeyInMemory.read(file)
