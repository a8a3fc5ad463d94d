"""A whole directory survives a crash of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.storage.durable_names import sync_tree
from tests.support.disk_steps import recorded_steps


def test_every_file_and_every_directory_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tile" / "0").mkdir(parents=True)
    for name in ("checkpoint", "tile/0/000", "tile/0/001"):
        (tmp_path / name).write_bytes(b"a")
    (tmp_path / "link").symlink_to("/nonexistent")
    steps = recorded_steps(monkeypatch, tmp_path)
    sync_tree(tmp_path)
    assert sorted(steps) == [
        ("sync", path) for path in (".", "checkpoint", "tile", "tile/0", "tile/0/000", "tile/0/001")
    ]
