"""A publication survives a crash of the machine: content first, then its name."""

from __future__ import annotations

import time
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


def test_file_of_a_tile_has_the_time_of_a_full_minute(tmp_path: Path) -> None:
    publication = DirectoryPublication(tmp_path / "log")
    before = time.time()
    publication.put([("tile/0/000", b"a"), ("tile/entries/000.p/5", b"b")])
    for tile in ("tile/0/000", "tile/entries/000.p/5"):
        found = (tmp_path / "log" / tile).stat()
        assert found.st_mtime_ns % 60_000_000_000 == found.st_atime_ns % 60_000_000_000 == 0
        assert before - 61 < found.st_mtime <= time.time()


def test_files_of_two_checkpoints_of_a_minute_have_different_times(tmp_path: Path) -> None:
    publication = DirectoryPublication(tmp_path / "log")
    times = set()
    for content in (b"old", b"new"):
        publication.swap("checkpoint", content)
        times.add((tmp_path / "log" / "checkpoint").stat().st_mtime_ns)
        time.sleep(0.02)  # a file system's clock ticks every few milliseconds
    assert len(times) == 2
