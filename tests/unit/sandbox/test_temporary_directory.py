"""A temporary directory is removed at its end, or by the next of its kind if its process was killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.temporary_directory import temporary_directory

_HOLDER = """
import sys, time
from pathlib import Path
from sandbox.temporary_directory import temporary_directory
with temporary_directory(sys.argv[1], parent=Path(sys.argv[2])) as directory:
    (directory / "below").mkdir()
    print(directory, flush=True)
    time.sleep(600)
"""


@contextmanager
def held_elsewhere(parent: Path, kind: str = "test") -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Provide another process that holds a directory, and that directory."""
    command = [sys.executable, "-c", _HOLDER, kind, str(parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.mark.usefixtures("any_umask")
@pytest.mark.parametrize("mode", [0o700, 0o711])
def test_directory_has_its_mode_and_is_removed_at_the_end(tmp_path: Path, mode: int) -> None:
    with temporary_directory("test", parent=tmp_path, mode=mode) as directory:
        assert list(tmp_path.iterdir()) == [directory]
        assert stat.S_IMODE(directory.stat().st_mode) == mode
        (directory / "below").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_directory_of_a_killed_process_is_removed_and_that_of_a_running_one_kept(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as (killed, left), held_elsewhere(tmp_path) as (_, held):
        killed.kill()
        killed.wait()
        assert left.exists()
        with temporary_directory("test", parent=tmp_path) as directory:
            assert set(tmp_path.iterdir()) == {held, directory}


def test_nothing_but_own_directories_of_the_same_kind_is_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    others = [tmp_path / "kopuro-other-1", tmp_path / "test-1"]
    for other in others:
        other.mkdir()
    (tmp_path / "kopuro-test-link").symlink_to(elsewhere)
    (tmp_path / "kopuro-test-file").touch()
    if os.geteuid() == 0:
        of_another_user = tmp_path / "kopuro-test-2"
        of_another_user.mkdir()
        os.chown(of_another_user, 1, 1)
    before = set(tmp_path.iterdir())
    with temporary_directory("test", parent=tmp_path):
        pass
    assert set(tmp_path.iterdir()) == before
