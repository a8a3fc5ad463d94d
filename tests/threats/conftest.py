"""A complete hub with its own RabbitMQ, and a log on each kind of database, for attacks on them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub
from tests.support.shared_hubs import shared_last
from tests.unit.services.audit.logs import LogOnDatabase, audit_database, empty_log

# How long the hub's services wait for audit's receipts.
RECEIPT_SECONDS = 10


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the shared hub last."""
    items[:] = [items[at] for at in shared_last([item.nodeid for item in items], "tests/threats")]


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub with the sample network, as `kopuro up` starts it."""
    data = tmp_path_factory.mktemp("hub") / "data"
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    environment["KOPURO_RECEIPT_SECONDS"] = str(RECEIPT_SECONDS)
    # Short, so that a test can wait until the keys of a message are destroyed.
    environment["KOPURO_TRANSIT_KEY_SECONDS"] = "10"
    running = Hub(data, environment=environment)
    try:
        running.start()
        yield RunningHub(
            running, databases={name: f"sqlite:///{running.files.database(name)}" for name in SERVICES}
        )
    finally:
        running.stop()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with audit_database(database_url) as opened:
        yield opened


@pytest.fixture
def audit(database: Database) -> LogOnDatabase:
    return empty_log(database)
