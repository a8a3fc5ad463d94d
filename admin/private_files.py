"""Files and directories that only their owner can read, and locks on them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.storage.durable_names import sync_directory


def make_private(directory: Path) -> None:
    """Create a directory of mode 0700 with its parents; an existing one stays as it is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically and durably, with mode 0600.

    A crash of the machine leaves the old or the new text, and the new one after this has returned.
    """
    _write(path, text, mode=0o600)


def write_public(path: Path, text: str) -> None:
    """Replace a file as `write_private`, with mode 0644: every service's account may read it."""
    _write(path, text, mode=0o644)


def replace_content(path: Path, text: str) -> None:
    """Replace the content of a file atomically and durably; mode and owner stay, and so do its readers.

    Raises OSError without such a file, or when its owner is another user and this one is not root.
    """
    present = path.stat()
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with _naming(path), os.fdopen(descriptor, "w", encoding="utf-8") as file:
        _give(draft, present)
        os.fchmod(file.fileno(), present.st_mode & 0o777)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def delete_durably(path: Path) -> None:
    """Delete a file; it does not come back after a crash of the machine."""
    path.unlink()
    sync_directory(path.parent)


def give_to_owner_of(path: Path, model: Path) -> None:
    """Give a file the owner and group of another one. Raises OSError where only root could."""
    _give(path, model.stat())


def _write(path: Path, text: str, *, mode: int) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with _naming(path), os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file's name to an OSError that lacks it, as after a write by descriptor on a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _give(path: Path, model: os.stat_result) -> None:
    own = path.stat()
    if (own.st_uid, own.st_gid) != (model.st_uid, model.st_gid):
        os.chown(path, model.st_uid, model.st_gid)


class OwnerLock:
    """A lock on a file that is released when the process holding it ends, for whatever reason.

    Child processes do not inherit the lock: Python closes its descriptor when it executes them.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock unless another process holds it; return whether this object holds it."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
