"""The steps of this process that decide what is on the disk after a crash of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

Step = tuple[str, str]


def recorded_steps(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[Step]:
    """Return the steps from now on, as they happen: `("sync", path)`, and for names that appear or disappear
    `("rename", new path)`, `("link", new path)` and `("delete", path)`; paths below root.

    They still take place. Deletions relative to an open directory, as of `shutil.rmtree`, are not returned.
    """
    steps: list[Step] = []

    def of(path: Any) -> str:
        return str(Path(path).resolve().relative_to(root.resolve()))

    def noted(name: str, place: int) -> None:
        real = getattr(os, name)
        step = {"replace": "rename", "unlink": "delete"}.get(name, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if "dir_fd" in options:
                return real(*arguments, **options)
            path = of(arguments[place])
            result = real(*arguments, **options)
            steps.append((step, path))
            return result

        monkeypatch.setattr(os, name, call)

    def synced(descriptor: int) -> None:
        real_sync(descriptor)
        steps.append(("sync", of(f"/proc/self/fd/{descriptor}")))

    real_sync = os.fsync
    monkeypatch.setattr(os, "fsync", synced)
    for name, place in (("rename", 1), ("replace", 1), ("link", 1), ("unlink", 0)):
        noted(name, place)
    return steps
