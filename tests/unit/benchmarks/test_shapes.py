"""The generated history covers every table."""

from __future__ import annotations

import pytest

from benchmarks.shapes import SHAPES, tables, unaccounted
from sandbox.hub_files import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_is_accounted_for(service: str) -> None:
    assert unaccounted(service) == set()


@pytest.mark.parametrize("service", SERVICES)
def test_every_described_column_exists_in_its_table(service: str) -> None:
    for shape in SHAPES[service]:
        columns = tables(service)[shape.table].columns
        told = {shape.referral, shape.moment, shape.forgotten} - {None}
        assert told <= set(columns.keys())
        assert shape.numbered == (tables(service)[shape.table].autoincrement_column is not None)
