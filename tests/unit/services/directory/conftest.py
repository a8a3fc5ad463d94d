"""Fixtures: a directory on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.storage.database import Database
from tests.support import migrated
from tests.unit.services.directory.samples import Directory


@pytest.fixture
def directory(database_url: str) -> Iterator[Directory]:
    """A migrated, empty directory."""
    database = Database.open(database_url)
    migrated.upgrade("services.directory", database)
    yield Directory(database)
    database.close()
