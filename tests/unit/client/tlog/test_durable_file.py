"""Files that a command writes survive a loss of power: content first, then its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from kopuro_client.commands.new_file import write_new
from kopuro_client.tlog.durable_file import write_durably
from tests.support.disk_steps import recorded_steps


def test_replaced_content_is_on_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kg").write_bytes(b"old")
    steps = recorded_steps(monkeypatch, tmp_path)
    write_durably(tmp_path / "kg", b"new")
    assert steps == [("sync", steps[0][1]), ("rename", "kg"), ("sync", ".")]
    assert steps[0][1] != "kg"


def test_new_file_and_its_name_are_on_disk_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = recorded_steps(monkeypatch, tmp_path)
    write_new(tmp_path / "key", b"secret")
    assert steps == [("sync", "key"), ("sync", ".")]
