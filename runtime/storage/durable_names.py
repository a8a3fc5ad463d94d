"""Names in a directory, and whole directories, that survive a crash of the machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Return when the files created, renamed and deleted in the directory stay so after a crash."""
    _sync(directory, os.O_DIRECTORY)


def sync_tree(directory: Path) -> None:
    """Return when every regular file below the directory and every name stays so after a crash."""
    for folder, _, files in os.walk(directory):
        for path in (Path(folder, name) for name in files):
            if stat.S_ISREG(path.lstat().st_mode):
                _sync(path, os.O_NOFOLLOW)
        sync_directory(Path(folder))


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
