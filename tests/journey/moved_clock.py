"""A hub whose services live at another time (see `tests.support.altered_service`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from runtime import service_platform
from sandbox.hub import Hub
from sandbox.process import ServiceProcess

_FILE = "clock-moved-by"


class MovedClock:
    """The system clock, moved by the seconds in a file beside the discovery document."""

    def __init__(self) -> None:
        self._file = Path(os.environ["KOPURO_DISCOVERY"]).parent / _FILE

    def now(self) -> datetime:
        """Return the moved time, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text()))


@contextmanager
def altered(_package: str) -> Iterator[None]:
    """Give every part of a service the moved clock."""
    with patch.object(service_platform, "SystemClock", MovedClock):
        yield


class HubWithMovedClock(Hub):
    """Its services share one clock, which `move_to` moves, also while they run."""

    def move_to(self, moment: datetime) -> None:
        """Let it be that time now."""
        file = self.files.discovery.parent / _FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        # A reader sees the whole number or the one before.
        written = file.with_suffix(".new")
        written.write_text(str((moment - datetime.now(UTC)).total_seconds()))
        written.replace(file)

    def _process(self, service: str, amqp_uri: str) -> ServiceProcess:
        process = super()._process(service, amqp_uri)
        process.command = [
            sys.executable,
            "-m",
            "tests.support.altered_service",
            "tests.journey.moved_clock",
            f"services.{service}",
        ]
        return process
