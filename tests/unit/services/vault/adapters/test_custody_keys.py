from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Unavailable
from contracts.organization import SealingKey
from contracts.records import read
from kopuro_client.sealing import generate_key, open_sealed, public_key, seal
from services.vault.adapters.custody_keys import CustodyKeyRing
from services.vault.domain.sealed import SealedCase

CASE = {"name": "Айгерим Токтогулова"}
FIRST, SECOND = generate_key(), generate_key()
_WRITES = iter(range(1, 100))


def write(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content))
    os.utime(file, ns=(number := next(_WRITES), number))


def sealed_to(key: Any) -> SealedCase:
    return SealedCase.split(seal(CASE, public_key(key)))


def test_each_case_is_opened_with_the_key_that_its_header_names(tmp_path: Path) -> None:
    file = tmp_path / "custody.json"
    write(file, {"keys": [SECOND, FIRST]})
    keys, recipient = CustodyKeyRing.in_file(file), generate_key()
    for key in (FIRST, SECOND):
        assert json.loads(keys.open(sealed_to(key))) == CASE
        resealed = keys.reseal(sealed_to(key), read(SealingKey, dict(public_key(recipient))))
        assert open_sealed(resealed, recipient) == CASE


def test_key_that_was_added_is_used_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "custody.json"
    write(file, FIRST)
    keys = CustodyKeyRing.in_file(file)
    assert not keys.has(SECOND["kid"])
    write(file, {"keys": [SECOND, FIRST]})
    assert json.loads(keys.open(sealed_to(SECOND))) == CASE
    assert json.loads(keys.open(sealed_to(FIRST))) == CASE


def test_case_for_a_missing_key_is_unavailable_and_not_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "custody.json"
    write(file, FIRST)
    with pytest.raises(Unavailable):
        CustodyKeyRing.in_file(file).open(sealed_to(SECOND))


def test_unusable_file_leaves_the_known_keys_in_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "custody.json"
    write(file, FIRST)
    keys = CustodyKeyRing.in_file(file)
    unusable: list[Any] = [{"keys": [SECOND, {"kty": "OKP", "d": "secret"}]}, {"keys": []}, ["secret"], 7]
    for content in unusable:
        write(file, content)
        assert not keys.has(SECOND["kid"])
        assert json.loads(keys.open(sealed_to(FIRST))) == CASE
    assert "key file unusable" in caplog.text
    assert "secret" not in caplog.text
    file.unlink()
    assert json.loads(keys.open(sealed_to(FIRST))) == CASE
