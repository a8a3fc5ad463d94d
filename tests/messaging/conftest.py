"""A private broker and a database for messaging tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from sandbox.broker import PrivateBroker
from tests.messaging.consumer_harness import METADATA, opened


@pytest.fixture(scope="package")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A node that these tests may stop and kill. Every test leaves it running."""
    with PrivateBroker(tmp_path_factory.mktemp("own-broker")) as running:
        yield running


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with the tables of a consumer and its outbox."""
    with opened(database_url) as database:
        with database.write() as connection:
            METADATA.create_all(connection)
        yield database
