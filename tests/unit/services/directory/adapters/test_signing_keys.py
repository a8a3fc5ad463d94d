from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from admin.keys import sealing_key, signing_key
from runtime.access.signer import TokenSigner
from runtime.storage.database import DatabaseUnavailable
from services.directory.adapters.signing_keys import ANNOUNCED, SigningKeys
from services.directory.domain.entry import TokenKey
from tests.support.settable_clock import SettableClock

NOON = dt.datetime(2026, 3, 21, 12, tzinfo=dt.UTC)
FIRST, SECOND = signing_key(), signing_key()


class Bench:
    """The keys of a file. announced: their ids, as last announced; known: those that were announced ever."""

    def __init__(self, file: Path, *keys: dict[str, Any], known: Sequence[str] = ()) -> None:
        self.file, self.clock = file, SettableClock(NOON)
        self.announced: list[str] = []
        self.is_available = True
        self.known = set(known)
        self._writes = 0
        self.write(*keys)
        self.keys = SigningKeys(file, lambda key: TokenSigner(key, "kopuro:kg"), self._announce, self.clock)
        self.keys.start(lambda *_: None)

    def write(self, *keys: Any) -> None:
        self._writes += 1
        self.file.write_text(json.dumps({"keys": keys}))
        os.utime(self.file, ns=(self._writes, self._writes))

    def signs_with(self) -> str:
        return self.keys.signer().kid

    def public(self) -> list[str]:
        return [key["kid"] for key in self.keys.public()["keys"]]

    def _announce(self, keys: Sequence[TokenKey]) -> set[str]:
        if not self.is_available:
            raise DatabaseUnavailable("The database is away.")
        self.announced = [key.id for key in keys]
        new = set(self.announced) - self.known
        self.known |= new
        return new


def test_first_key_of_a_hub_signs_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "token.json", FIRST)
    assert (bench.signs_with(), bench.public(), bench.announced) == (FIRST["kid"],) + 2 * ([FIRST["kid"]],)


def test_added_key_is_announced_before_it_signs_and_the_earlier_one_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "token.json", FIRST)
    bench.write(SECOND, FIRST)
    bench.keys.look()
    assert bench.announced == bench.public() == [SECOND["kid"], FIRST["kid"]]
    assert bench.signs_with() == FIRST["kid"]
    bench.clock.time += ANNOUNCED
    assert bench.signs_with() == SECOND["kid"]
    assert FIRST["kid"] in bench.public()
    bench.write(SECOND)
    bench.keys.look()
    assert bench.announced == bench.public() == [SECOND["kid"]]


@pytest.mark.parametrize(("known", "signs"), [((), FIRST), ((SECOND["kid"],), SECOND)])
def test_key_that_was_not_announced_before_a_start_waits_too(
    tmp_path: Path, known: tuple[str, ...], signs: dict[str, Any]
) -> None:
    bench = Bench(tmp_path / "token.json", SECOND, FIRST, known=(FIRST["kid"], *known))
    assert bench.signs_with() == signs["kid"]


def test_replacement_at_once_signs_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "token.json", FIRST)
    bench.write(SECOND)
    bench.keys.look()
    assert bench.signs_with() == SECOND["kid"]
    assert bench.announced == [SECOND["kid"]]


def test_unusable_file_leaves_the_keys_in_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path / "token.json", FIRST)
    for keys in ((sealing_key(),), ({"crv": "Ed25519", "d": "a secret"},), ()):
        bench.write(*keys)
        bench.keys.look()
        assert (bench.signs_with(), bench.announced) == (FIRST["kid"], [FIRST["kid"]])
    bench.file.unlink()
    bench.keys.look()
    assert "key file unusable" in caplog.text
    assert "a secret" not in caplog.text


def test_keys_that_could_not_be_announced_are_announced_by_the_next_look(tmp_path: Path) -> None:
    """Otherwise every other service would admit the tokens of a stolen key until the next restart."""
    bench = Bench(tmp_path / "token.json", FIRST)
    bench.write(SECOND)
    bench.is_available = False
    with pytest.raises(DatabaseUnavailable):
        bench.keys.look()
    assert bench.announced == [FIRST["kid"]]
    bench.is_available = True
    bench.keys.look()
    assert bench.announced == bench.public() == [SECOND["kid"]]


def test_key_that_could_not_be_announced_does_not_sign(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "token.json", FIRST)
    bench.write(SECOND, FIRST)
    bench.is_available = False
    with pytest.raises(DatabaseUnavailable):
        bench.keys.look()
    bench.clock.time += ANNOUNCED
    assert bench.signs_with() == FIRST["kid"]
    bench.is_available = True
    bench.keys.look()
    assert bench.signs_with() == FIRST["kid"]
    bench.clock.time += ANNOUNCED
    assert bench.signs_with() == SECOND["kid"]
