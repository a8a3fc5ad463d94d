"""Fixtures: a migrated database of each kind with an empty log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from tests.unit.services.audit.logs import LogOnDatabase, audit_database, empty_log


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with audit_database(database_url) as opened:
        yield opened


@pytest.fixture
def audit(database: Database) -> LogOnDatabase:
    return empty_log(database)
