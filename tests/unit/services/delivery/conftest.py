from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.services.delivery.workbench import Workbench


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = Workbench(database_url)
    yield bench
    bench.database.close()
