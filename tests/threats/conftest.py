"""A complete hub on SQLite with the sample network, shared by the attacks of one worker."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from sandbox.broker import PrivateBroker
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker) -> Iterator[RunningHub]:
    """A running hub (some 4 s)."""
    data = tmp_path_factory.mktemp("threatened") / "data"
    vhost = f"threats-{secrets.token_hex(6)}"
    environment = {**os.environ, "KOPURO_AMQP_URI": broker.add_vhost(vhost)}
    running = Hub(data, environment=environment)
    try:
        running.start()
        databases = {service: f"sqlite:///{running.files.database(service)}" for service in SERVICES}
        yield RunningHub(running, databases=databases)
    finally:
        running.stop()
        broker.remove_vhost(vhost)
