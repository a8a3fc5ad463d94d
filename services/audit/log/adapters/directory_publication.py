"""The publication as files in a directory that any static web server can serve unchanged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from runtime.storage.durable_names import sync_directory
from services.audit.log.ports import PublicationUnavailable

# Files are written here before the rename. Web servers must not serve it.
_INCOMING = ".incoming"
# The modes do not depend on the umask: a web server has another account, and only audit may change published
# files.
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
_INCOMING_MODE = 0o700
_MINUTE = 60


class DirectoryPublication:
    """`ports.LogPublication`: write, fsync, rename, fsync of the folder.

    Every account may read the files, and only the owner may change them. The directories above `root` have
    the modes that the operator, or the umask, gives them.

    The time of a file that never changes is the full minute before. A static web server sends it, and a leaf
    names no time that is finer. That of a file that `swap` replaces is exact: caches tell its versions apart
    by it, and a poll of the file shows as much.

    A renamed file is complete and its content durable, but its *name* is durable only after an fsync of the
    folder. So `put` syncs the folder even for files that already exist.
    """

    def __init__(self, root: Path) -> None:
        """Create the directory if it is missing. Raises PublicationUnavailable."""
        self._root = root
        self._incoming = root / _INCOMING
        self._numbers = count()
        with _translated():
            # Removes files that a killed process left half-written.
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._make(self._incoming)

    def read(self, path: str) -> bytes | None:
        """See `ports.LogPublication`."""
        with _translated():
            try:
                # pathlib would take longer than the read itself.
                with open(f"{self._root}/{path}", "rb") as file:
                    return file.read()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """See `ports.LogPublication`."""
        with _translated():
            folders = set()
            for path, content in contents:
                target = self._root / path
                folders.add(target.parent)
                if not target.exists():
                    self._make(target.parent)
                    self._write(target, content, hides_time=True)
            for folder in folders:
                sync_directory(folder)

    def swap(self, path: str, content: bytes) -> None:
        """See `ports.LogPublication`."""
        with _translated():
            target = self._root / path
            self._write(target, content)
            sync_directory(target.parent)

    def drop(self, folder: str) -> None:
        """See `ports.LogPublication`."""
        with _translated():
            shutil.rmtree(self._root / folder, ignore_errors=True)

    def _write(self, target: Path, content: bytes, *, hides_time: bool = False) -> None:
        incoming = self._incoming / f"{os.getpid()}-{next(self._numbers)}"
        with incoming.open("xb") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            file.write(content)
            file.flush()
            if hides_time:
                minute = int(os.fstat(file.fileno()).st_mtime) // _MINUTE * _MINUTE
                os.utime(file.fileno(), (minute, minute))
            os.fsync(file.fileno())
        incoming.rename(target)

    def _make(self, folder: Path) -> None:
        """Create the folder and its parents, each durable in its parent."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        if folder == self._incoming:
            folder.chmod(_INCOMING_MODE)
        elif folder.is_relative_to(self._root):
            folder.chmod(_FOLDER_MODE)
        sync_directory(folder.parent)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PublicationUnavailable("The log's directory is temporarily unavailable.") from error
