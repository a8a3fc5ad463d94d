"""A start of the hub that is interrupted while its broker is starting."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from sandbox.broker_configuration import MARKER
from sandbox.hub import Hub
from sandbox.process import processes_with

# A node that is starting ignores the request to stop: an orderly stop takes its whole limit.
ORDERLY_STOP_SECONDS = 10.0


def test_interrupted_start_kills_the_starting_broker_at_once(tmp_path: Path) -> None:
    interrupted: list[float] = []

    def interrupt(step: str) -> None:
        if step == "migrating the databases":
            interrupted.append(time.monotonic())
            raise KeyboardInterrupt

    hub = Hub(tmp_path / "data", environment={"PATH": os.environ["PATH"]}, progress=interrupt)
    broker = None
    with pytest.raises(KeyboardInterrupt):
        try:
            hub._start()
        finally:
            broker = hub._broker
            hub.stop()
    assert time.monotonic() - interrupted[0] < ORDERLY_STOP_SECONDS
    assert broker is not None
    assert broker.exit_code() == -signal.SIGKILL
    assert processes_with(MARKER, str(broker.files.root)) == []
