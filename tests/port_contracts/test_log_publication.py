"""The contract of `LogPublication`, tested on the real implementation and on the fake."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.ports import LogPublication, PublicationUnavailable
from tests.unit.services.audit.publications import MemoryPublication

Make = Callable[[], LogPublication]


@pytest.fixture(params=["directory", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the same publication each time."""
    if request.param == "directory":
        return lambda: DirectoryPublication(tmp_path / "below" / "log")
    memory = MemoryPublication()
    return lambda: memory


def test_missing_file_reads_as_none(make: Make) -> None:
    assert make().read("checkpoint") is None
    assert make().read("tile/0/000.p/3") is None


def test_written_file_is_visible_to_other_readers(make: Make) -> None:
    make().put([("tile/0/x001/000", b"one"), ("tile/entries/000.p/7", b"two"), ("tile/0/x001/001", b"")])
    later = make()
    assert later.read("tile/0/x001/000") == b"one"
    assert later.read("tile/entries/000.p/7") == b"two"
    assert later.read("tile/0/x001/001") == b""
    assert later.read("tile/0/x001") is None


def test_second_write_keeps_first_content(make: Make) -> None:
    publication = make()
    publication.put([("tile/0/000", b"first")])
    publication.put([("tile/0/000", b"second"), ("tile/0/001", b"new")])
    assert (publication.read("tile/0/000"), publication.read("tile/0/001")) == (b"first", b"new")


def test_swap_replaces_checkpoint(make: Make) -> None:
    publication = make()
    for content in (b"1", b"22", b"3"):
        publication.swap("checkpoint", content)
        assert make().read("checkpoint") == content


def test_dropped_folder_keeps_other_files(make: Make) -> None:
    publication = make()
    publication.put([("tile/0/000.p/1", b"a"), ("tile/0/000.p/2", b"b"), ("tile/0/000", b"c")])
    publication.drop("tile/0/000.p")
    publication.drop("tile/0/000.p")
    assert publication.read("tile/0/000.p/1") is None
    assert publication.read("tile/0/000") == b"c"


def test_partial_file_of_killed_process_is_removed(tmp_path: Path) -> None:
    DirectoryPublication(tmp_path).swap("checkpoint", b"whole")
    (tmp_path / ".incoming" / "123-4").write_bytes(b"hal")
    again = DirectoryPublication(tmp_path)
    assert list((tmp_path / ".incoming").iterdir()) == []
    again.put([("tile/0/000", b"x")])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".incoming", "checkpoint", "tile"]


@pytest.mark.usefixtures("any_umask")
def test_everyone_may_read_published_files_and_only_owner_may_change_them(tmp_path: Path) -> None:
    root = tmp_path / "log"
    publication = DirectoryPublication(root)
    publication.put([("tile/0/x001/000", b"one")])
    publication.swap("checkpoint", b"2")
    modes = {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {
        ".incoming": 0o700,
        "checkpoint": 0o644,
        "tile": 0o755,
        "tile/0": 0o755,
        "tile/0/x001": 0o755,
        "tile/0/x001/000": 0o644,
    }
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_unusable_publication_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PublicationUnavailable):
        DirectoryPublication(tmp_path / "file")
    publication = DirectoryPublication(tmp_path / "log")
    (tmp_path / "log" / "tile").write_bytes(b"in the way")
    with pytest.raises(PublicationUnavailable):
        publication.put([("tile/0/000", b"x")])
