"""A publication survives a crash of the machine: content first, then its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.audit.log.adapters.directory_publication import DirectoryPublication
from tests.support.disk_steps import recorded_steps


def test_content_is_on_disk_before_its_name_and_the_name_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = DirectoryPublication(tmp_path / "log")
    steps = recorded_steps(monkeypatch, tmp_path)
    publication.put([("tile/0/000", b"a"), ("tile/0/001", b"b")])
    (begun, *_) = written = [path for step, path in steps if step == "sync" and "incoming" in path]
    assert len(written) == 2
    assert steps == [
        # The new folders, each durable in its parent.
        ("sync", "log"),
        ("sync", "log/tile"),
        ("sync", begun),
        ("rename", "log/tile/0/000"),
        ("sync", written[1]),
        ("rename", "log/tile/0/001"),
        ("sync", "log/tile/0"),
    ]


def test_swapped_content_is_on_disk_before_its_name_and_the_name_before_swap_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publication = DirectoryPublication(tmp_path / "log")
    publication.swap("checkpoint", b"old")
    steps = recorded_steps(monkeypatch, tmp_path)
    publication.swap("checkpoint", b"new")
    assert steps == [("sync", steps[0][1]), ("rename", "log/checkpoint"), ("sync", "log")]
    assert "incoming" in steps[0][1]
