"""A new table must be told to the history: an empty one would measure nothing."""

from __future__ import annotations

import pytest

from benchmarks.shapes import SHAPES, tables, unaccounted
from sandbox.hub_files import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_is_accounted_for(service: str) -> None:
    assert unaccounted(service) == set()


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_told_of_a_table_is_a_column_of_it(service: str) -> None:
    for shape in SHAPES[service]:
        columns = tables(service)[shape.table].columns
        told = {shape.referral, shape.moment, shape.forgotten} - {None}
        assert told <= set(columns.keys())
        assert shape.numbered == (tables(service)[shape.table].autoincrement_column is not None)
