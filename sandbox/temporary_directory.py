"""Temporary directories that do not outlive their process for long, even if it is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def temporary_directory(kind: str, *, parent: Path | None = None, mode: int = 0o700) -> Iterator[Path]:
    """Provide a new directory `kopuro-<kind>-...` that is removed at the end of the block.

    A killed process cannot remove its directory. So this first removes the directories of the same kind, in
    the same parent and of the same user, whose process has ended.

    parent: by default the directory for temporary files. mode: of the directory, whatever the umask.
    Raises OSError if no directory can be made.
    """
    place = parent or Path(tempfile.gettempdir())
    for left in sorted(place.glob(f"kopuro-{kind}-*")):
        _remove_unless_held(left)
    directory, lock = _new(kind, place)
    try:
        directory.chmod(mode)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _new(kind: str, place: Path) -> tuple[Path, int]:
    """Return a new directory and the descriptor that holds its lock, which the kernel releases at our end."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=f"kopuro-{kind}-", dir=place))
        with contextlib.suppress(FileNotFoundError):  # another process removed it before it was locked
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if directory.exists():
                return directory, lock
            os.close(lock)


def _remove_unless_held(directory: Path) -> None:
    # It is not a directory, or another process has just removed it.
    with contextlib.suppress(OSError):
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid != os.geteuid():
                return
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises BlockingIOError if it is held
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(lock)
