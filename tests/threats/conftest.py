"""A complete hub with its own RabbitMQ, shared by the attacks on it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with the sample network, as `kopuro up` starts it."""
    data = tmp_path_factory.mktemp("hub") / "data"
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    running = Hub(data, environment=environment)
    try:
        running.start()
        yield RunningHub(
            running, databases={name: f"sqlite:///{running.files.database(name)}" for name in SERVICES}
        )
    finally:
        running.stop()
