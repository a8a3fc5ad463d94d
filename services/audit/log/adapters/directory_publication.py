"""The publication as files below one directory, which any static web server can serve as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from services.audit.log.ports import PublicationUnavailable

# Where a file is written before it gets its name. A web server has no business in it.
_INCOMING = ".incoming"


class DirectoryPublication:
    """`ports.LogPublication`: write, fsync, rename, fsync of the folder.

    A file that has its name is whole and durable in itself; that its *name* is durable too is known only
    when its folder has been synchronised. So `put` does that even for files which it finds there.
    """

    def __init__(self, root: Path) -> None:
        """Makes the directory when it is not there. Raises PublicationUnavailable."""
        self._root = root
        self._incoming = root / _INCOMING
        self._numbers = count()
        with _translated():
            # What a process that was killed left half-written.
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._make(self._incoming)

    def read(self, path: str) -> bytes | None:
        """See `ports.LogPublication`."""
        with _translated():
            try:
                # Not by pathlib, which takes longer than the reading.
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
                    self._write(target, content)
            for folder in folders:
                _synchronise(folder)

    def swap(self, path: str, content: bytes) -> None:
        """See `ports.LogPublication`."""
        with _translated():
            target = self._root / path
            self._write(target, content)
            _synchronise(target.parent)

    def drop(self, folder: str) -> None:
        """See `ports.LogPublication`."""
        with _translated():
            shutil.rmtree(self._root / folder, ignore_errors=True)

    def _write(self, target: Path, content: bytes) -> None:
        incoming = self._incoming / f"{os.getpid()}-{next(self._numbers)}"
        with incoming.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        incoming.rename(target)

    def _make(self, folder: Path) -> None:
        """The folder and those above it, each durable in the one above."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        _synchronise(folder.parent)


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PublicationUnavailable("The log's directory cannot be used just now.") from error
