"""The observations of transactions that are still open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.storage.database import Database, sqlite_url
from services.routing.domain.observation import Observation
from services.routing.live_directory import LiveDirectory

ASKED_ONCE = {"kg.legal": Observation(answered=1)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(sqlite_url(tmp_path / "routing.sqlite"))
    yield database
    database.close()


def settled(network: LiveDirectory) -> set[str]:
    with network.settling() as touched:
        return set(touched)


def test_changes_count_until_their_transaction_has_ended(database: Database) -> None:
    network = LiveDirectory()
    with database.write() as transaction:
        network.observe(transaction, ASKED_ONCE)
        assert network.observed("kg.legal").answered == 1
        assert settled(network) == set()
        assert network.observed("kg.legal").answered == 1
    # The next transaction uses the same connection.
    with database.write():
        assert settled(network) == {"kg.legal"}
        assert network.observed("kg.legal").answered == 0
        assert settled(network) == set()


def test_changes_of_a_rolled_back_transaction_are_settled(database: Database) -> None:
    network = LiveDirectory()
    with pytest.raises(ZeroDivisionError), database.write() as transaction:
        network.observe(transaction, ASKED_ONCE)
        raise ZeroDivisionError
    assert settled(network) == {"kg.legal"}
    assert network.observed("kg.legal").answered == 0
