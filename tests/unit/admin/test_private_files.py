"""Private files and locks."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from admin.private_files import (
    OwnerLock,
    delete_durably,
    make_private,
    replace_content,
    write_private,
    write_public,
)
from tests.support.disk_steps import recorded_steps


@pytest.mark.usefixtures("any_umask")
def test_written_file_is_private_even_if_the_old_one_was_not(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old", encoding="ascii")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_draft_of_crashed_writer_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_text("half a", encoding="ascii")
    write_private(tmp_path / "secret", "whole")
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "whole"


@pytest.mark.parametrize("write", [write_private, write_public, replace_content])
def test_text_is_on_disk_before_its_name_and_the_name_before_the_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, str], None]
) -> None:
    (tmp_path / "key").write_text("old", encoding="ascii")
    steps = recorded_steps(monkeypatch, tmp_path)
    write(tmp_path / "key", "new")
    assert steps == [("sync", "key.new"), ("rename", "key"), ("sync", ".")]


@pytest.mark.parametrize("write", [write_private, write_public, replace_content])
def test_error_of_a_full_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, str], None]
) -> None:
    """`kopuro up` said "[Errno 28] No space left on device", and not where."""
    (tmp_path / "key").write_text("old", encoding="ascii")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("admin.private_files.os.fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        write(tmp_path / "key", "new")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path / "key"))
    assert (tmp_path / "key").read_text(encoding="ascii") == "old"


def test_deletion_is_on_disk_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("old", encoding="ascii")
    steps = recorded_steps(monkeypatch, tmp_path)
    delete_durably(tmp_path / "key")
    assert steps == [("delete", "key"), ("sync", ".")]


@pytest.mark.usefixtures("any_umask")
def test_directory_is_private(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_lock_has_one_owner_at_a_time(tmp_path: Path) -> None:
    one, two = OwnerLock(tmp_path / "lock"), OwnerLock(tmp_path / "lock")
    assert one.take()
    assert one.take()
    assert not two.take()
    one.release()
    assert two.take()
    two.release()


def test_lock_in_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OwnerLock(tmp_path / "missing" / "lock").take()
