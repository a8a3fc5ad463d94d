"""Complete hubs, one on SQLite and one on PostgreSQL, each shared by all journey tests."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from sandbox.broker import PrivateBroker
from sandbox.hub import Hub
from sandbox.hub_files import SERVICES
from tests.journey.running_hub import RunningHub
from tests.servers import PostgresServer
from tests.support.shared_hubs import shared_last

# Short deadlines, so that tests can wait for expiries and for reminders of emergencies.
POLICY = {
    "version": "journey-1",
    "practice": True,
    "routine": {"answer": 3, "progress": 1209600},
    "emergency": {"answer": 3600, "progress": 2},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the shared hubs last."""
    items[:] = [items[at] for at in shared_last([item.nodeid for item in items], "tests/journey")]


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker
) -> Iterator[RunningHub]:
    """A hub with the sample network on each kind of database in turn (some 4 s each)."""
    directory = tmp_path_factory.mktemp(f"hub-{request.param}")
    template = None
    if request.param == "postgresql":
        template = _postgres_databases(request.getfixturevalue("postgres"))
    with running_hub(directory, broker, template) as running:
        yield running


@contextmanager
def running_hub(
    directory: Path,
    broker: PrivateBroker,
    template: str | None = None,
    *,
    settings: Mapping[str, str] | None = None,
) -> Iterator[RunningHub]:
    """Run a hub in a virtual host of its own. template: of the databases' URLs; None: SQLite files.

    settings: of the services, besides those that a hub has.
    """
    policy = directory / "policy.json"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    data = directory / "data"
    vhost = f"journey-{secrets.token_hex(6)}"
    uri = broker.add_vhost(vhost)
    environment = {**os.environ, "KOPURO_AMQP_URI": uri, "KOPURO_SANDBOX": "true"}
    environment |= settings or {}
    if template is None:
        template = f"sqlite:///{data}/data/{{service}}.sqlite"
    else:
        environment["KOPURO_DATABASE_TEMPLATE"] = template
    running = Hub(data, policy=policy, environment=environment)
    try:
        running.start()
        yield RunningHub(
            running,
            databases={service: template.format(service=service) for service in SERVICES},
            broker=uri,
        )
    finally:
        running.stop()
        broker.remove_vhost(vhost)


def _postgres_databases(server: PostgresServer) -> str:
    """One empty database for each service; their URLs' template."""
    url = server.create_database()
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        connection.autocommit = True  # CREATE DATABASE is not allowed in a transaction
        with connection.cursor() as cursor:
            for service in SERVICES:
                cursor.execute(f'CREATE DATABASE "{url.rpartition("/")[2]}_{service}"')
    finally:
        connection.close()
    return url + "_{service}"
