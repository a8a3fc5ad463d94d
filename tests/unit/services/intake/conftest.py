"""A desk on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.services.intake.desk import Desk


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    """Migrated and empty."""
    made = Desk(database_url)
    yield made
    made.database.close()
