"""The real audit service with a fault between the publisher and its directory."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.application import Application
from runtime.settings import Settings
from services.audit.bootstrap import assemble
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.handlers.published_log import CHECKPOINT
from services.audit.log.ports import LogPublication, PublicationUnavailable
from tests.crash.audit_with_faults.plan import FAULTS, REACHED, Point


def build(settings: Settings) -> Application[Any]:
    assert settings.log_directory is not None
    publication = DirectoryPublication(settings.log_directory)
    return assemble(settings, StoppingPublication(publication, Path(os.environ[FAULTS])))


class StoppingPublication:
    """Waits at the point that the plan names, for good, while the rest of the process goes on."""

    def __init__(self, inner: LogPublication, plan: Path) -> None:
        self._inner = inner
        self._plan = plan

    def read(self, path: str) -> bytes | None:
        return self._inner.read(path)

    def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        self._stop_at(Point.appended)
        if self._planned(Point.half_of_the_tiles):
            self._inner.put(contents[: len(contents) // 2])
            self._stop_at(Point.half_of_the_tiles)
        self._inner.put(contents)

    def swap(self, path: str, content: bytes) -> None:
        if path != CHECKPOINT or self._is_first(content):
            self._inner.swap(path, content)
            return
        self._stop_at(Point.tiles_written)
        if self._planned(Point.swap_failed):
            self._reach(Point.swap_failed)
            raise PublicationUnavailable("not swapped")
        self._inner.swap(path, content)
        self._stop_at(Point.swapped)
        if self._planned(Point.swap_failed_but_persisted):
            self._reach(Point.swap_failed_but_persisted)
            raise PublicationUnavailable("reported failed after the swap")

    def drop(self, folder: str) -> None:
        self._inner.drop(folder)

    def _is_first(self, content: bytes) -> bool:
        """Return whether this is the checkpoint of the empty log, with which nothing can be lost."""
        return content.split(b"\n")[1] == b"0"

    def _planned(self, point: Point) -> bool:
        try:
            return self._plan.read_text() == point
        except FileNotFoundError:
            return False

    def _stop_at(self, point: Point) -> None:
        if self._planned(point):
            self._reach(point)
            threading.Event().wait()

    def _reach(self, point: Point) -> None:
        self._plan.with_name(REACHED).write_text(point)
