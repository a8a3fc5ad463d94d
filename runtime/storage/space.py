"""How much room a file system has left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

# A wave of referrals, a vacuum or a long write-ahead log needs some; time to act is needed too.
LOW: Final = 256 * 1024 * 1024


def free_bytes(path: Path) -> int | None:
    """What an ordinary user may still write beside `path`; None where that cannot be told."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def low_space(path: Path) -> str | None:
    """For `/readyz`: None while there is room beside `path`."""
    free = free_bytes(path)
    if free is None or free >= LOW:
        return None
    return f"{free / 1024 / 1024:.0f} MiB are free beside {path.name}, less than {LOW / 1024 / 1024:.0f} MiB"
