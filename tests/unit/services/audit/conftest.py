"""Fixtures: a migrated database of each kind with an empty log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import LogOnDatabase, new_key


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    upgrade("services.audit", opened)
    yield opened
    opened.close()


@pytest.fixture
def audit(database: Database) -> LogOnDatabase:
    made = LogOnDatabase(database=database, key=new_key())
    made.check()
    return made
