"""An intake bench on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.services.intake.intake_fixture import IntakeBench


@pytest.fixture
def bench(database_url: str) -> Iterator[IntakeBench]:
    """Migrated and empty."""
    made = IntakeBench(database_url)
    yield made
    made.database.close()
