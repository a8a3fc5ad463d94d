"""Free space of file systems."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

# A burst of referrals, a vacuum or a long write-ahead log needs space, and the operator needs time to act.
LOW: Final = 256 * 1024 * 1024
_LESS: Final = f"less than {LOW // 1024 // 1024} MiB"


def free_bytes(path: Path) -> int | None:
    """Return the bytes that an unprivileged user may still write beside `path`; None when unknown."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def low_space(path: Path) -> str | None:
    """Return the `/readyz` warning when space beside `path` is low, else None."""
    free = free_bytes(path)
    if free is None or free >= LOW:
        return None
    return f"only {free / 1024 / 1024:.0f} MiB free beside {path.name}, {_LESS}"


def is_low_space(reason: str) -> bool:
    """Return whether a `/readyz` reason is a warning of `low_space`."""
    return reason.startswith("only ") and reason.endswith(_LESS)
