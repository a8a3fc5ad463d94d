from __future__ import annotations

import stat
from pathlib import Path

import pytest

from contracts.errors import Unavailable
from services.delivery.webhooks.adapters.key_file_seal import InvalidKeyFileError, KeyFileSeal
from tests.support.disk_steps import recorded_steps


@pytest.mark.usefixtures("any_umask")
def test_first_start_creates_private_file_and_later_ones_open_its_secrets(tmp_path: Path) -> None:
    file = tmp_path / "webhooks.key"
    secret, sealed = KeyFileSeal.from_file(file).make("e1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert KeyFileSeal.from_file(file).open("e1", sealed) == secret
    assert secret.mac_key not in sealed
    assert secret.seed not in sealed


def test_new_key_is_on_disk_before_it_seals_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = recorded_steps(monkeypatch, tmp_path)
    KeyFileSeal.from_file(tmp_path / "webhooks.key")
    draft = steps[0][1]
    assert steps == [("sync", draft), ("link", "webhooks.key"), ("delete", draft), ("sync", ".")]


def test_secret_sealed_for_another_endpoint_or_with_another_key_is_refused(tmp_path: Path) -> None:
    seal = KeyFileSeal.from_file(tmp_path / "one.key")
    _, sealed = seal.make("e1")
    other = KeyFileSeal.from_file(tmp_path / "other.key")
    for opening, endpoint_id, text in (
        (seal, "e2", sealed),
        (other, "e1", sealed),
        (seal, "e1", sealed[:-1]),
    ):
        with pytest.raises(Unavailable, match="another key"):
            opening.open(endpoint_id, text)


def test_file_of_another_kind_or_place_is_refused(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"x" * 31)
    for file in (short, tmp_path, tmp_path / "missing" / "webhooks.key"):
        with pytest.raises(InvalidKeyFileError, match="file"):
            KeyFileSeal.from_file(file)
