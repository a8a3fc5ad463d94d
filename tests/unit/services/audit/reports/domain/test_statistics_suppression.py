"""Withheld figures cannot be computed: for each, another table looks the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.audit.reports.domain.statistics_suppression import (
    Finest,
    Key,
    TooDetailed,
    keys_of,
    shown,
    sums,
)


def lookalikes(finest: dict[Finest, int], visible: dict[Key, int], most: int) -> Iterator[dict[Key, int]]:
    """Every table of whole numbers that agrees with what is visible: by trying them all."""
    cells = sorted(cell for cell in finest if set(keys_of(cell)) <= set(sums(finest)))
    last: dict[Key, int] = {}
    for number, cell in enumerate(cells):
        for key in keys_of(cell):
            last[key] = number

    def fill(number: int, so_far: dict[Key, int]) -> Iterator[dict[Key, int]]:
        if number == len(cells):
            yield so_far
            return
        for count in range(most + 1):
            grown = dict(so_far)
            for key in keys_of(cells[number]):
                grown[key] = grown.get(key, 0) + count
            if all(
                grown[key] == visible[key] if last[key] == number else grown[key] <= visible[key]
                for key in keys_of(cells[number])
                if key in visible
            ):
                yield from fill(number + 1, grown)

    return fill(0, {})


def tables(shape: tuple[int, ...], most: int) -> st.SearchStrategy[dict[Finest, int]]:
    cells = list(product(*([f"{dimension}{n}" for n in range(size)] for dimension, size in enumerate(shape))))
    counts = st.lists(st.integers(0, most), min_size=len(cells), max_size=len(cells))
    return counts.map(lambda values: dict(zip(cells, values, strict=True)))


small_tables = st.one_of(
    tables((2,), 9), tables((3,), 9), tables((5,), 4), tables((2, 2), 7), tables((2, 3), 5), tables((1, 4), 6)
)


@given(small_tables)
def test_withheld_figure_has_another_value_in_an_equal_looking_table(
    finest: dict[Finest, int],
) -> None:
    figures = sums(finest)
    visible = shown(finest, persons={})
    assume(visible)
    categories = [
        {cell[at] for cell, count in finest.items() if count} for at in range(len(next(iter(finest))))
    ]
    assume(any(len(names) > 1 for names in categories))
    total = figures[(None,) * len(next(iter(finest)))]
    undecided = set(figures) - set(visible)
    # A dimension of one category: the reader may know as much, and then its figures are the sums.
    for table in lookalikes(finest, visible, total):
        undecided -= {key for key in undecided if table[key] != figures[key]}
        if not undecided:
            break
    assert not undecided


@given(st.one_of(tables((2, 2, 2), 30), tables((4, 5), 30), tables((12,), 30), tables((3, 3, 3), 12)))
def test_shown_figures_are_true_and_not_small(finest: dict[Finest, int]) -> None:
    try:
        visible = shown(finest, persons={})
    except TooDetailed:
        return
    figures = sums(finest)
    for key, count in visible.items():
        assert count == figures[key]
        assert count >= 5


def determined(finest: dict[Finest, int], visible: dict[Key, int]) -> set[Key]:
    """The figures that follow from the visible ones by linear equations alone (Gauss, over a prime field)."""
    prime = 1_000_003
    cells = sorted(finest)
    rows = [
        [1 if all(own in (None, name) for own, name in zip(key, cell, strict=True)) else 0 for cell in cells]
        for key in visible
    ]
    basis: list[tuple[int, list[int]]] = []

    def reduced(row: list[int]) -> list[int]:
        for at, lead in basis:
            if row[at]:
                row = [(a - row[at] * b) % prime for a, b in zip(row, lead, strict=True)]
        return row

    for row in rows:
        row = reduced(row)
        at = next((n for n, value in enumerate(row) if value), None)
        if at is not None:
            inverse = pow(row[at], -1, prime)
            basis.append((at, [value * inverse % prime for value in row]))
    found = set()
    for key in sums(finest):
        row = [1 if all(own in (None, n) for own, n in zip(key, cell, strict=True)) else 0 for cell in cells]
        if any(row) and not any(reduced(row)):
            found.add(key)
    return found


@given(st.one_of(tables((2, 2, 2), 30), tables((4, 5), 30), tables((7, 6), 12), tables((3, 3, 3), 30)))
def test_no_withheld_figure_of_a_large_table_follows_from_equations(finest: dict[Finest, int]) -> None:
    try:
        visible = shown(finest, persons={})
    except TooDetailed:
        return
    assert determined(finest, visible) <= set(visible)


@given(tables((4, 5), 30))
def test_sums_of_a_dimension_are_withheld_independently_of_a_second(
    finest: dict[Finest, int],
) -> None:
    alone: dict[Finest, int] = {}
    for (first, _), count in finest.items():
        alone[first,] = alone.get((first,), 0) + count
    together = {key[0] for key in shown(finest, persons={}) if key[1] is None}
    assert together == {key[0] for key in shown(alone, persons={})}


def test_one_small_cell_withholds_the_smallest_cover() -> None:
    finest: dict[Finest, int] = {("a",): 3, ("b",): 40, ("c",): 9}
    assert shown(finest, persons={}) == {("b",): 40, (None,): 52}


def test_sum_of_few_persons_with_many_needs_is_small() -> None:
    finest: dict[Finest, int] = {
        ("f", "legal"): 4,
        ("f", "shelter"): 4,
        ("m", "legal"): 20,
        ("m", "shelter"): 20,
    }
    visible = shown(finest, persons={("f", None): 4})
    assert ("f", None) not in visible
    assert ("m", None) not in visible, "the total would give it away"


def test_table_of_fewer_than_five_shows_nothing() -> None:
    assert shown({("a",): 4}, persons={}) == {}
    assert shown({}, persons={}) == {}


def test_large_table_withholds_nothing() -> None:
    finest: dict[Finest, int] = {(a, b): 10 for a in "abc" for b in "xyz"}
    assert shown(finest, persons={}) == sums(finest)


def test_suppression_pauses_after_each_small_figure() -> None:
    finest: dict[Finest, int] = {(a, b): 1 for a in "abcdefg" for b in "uvwxyz"}
    stalled_loops: list[None] = []
    shown(finest, persons={}, pause=lambda: stalled_loops.append(None))
    assert len(stalled_loops) == len(finest)


@pytest.mark.parametrize("count", [4, 0])
def test_small_cell_of_a_cross_table_is_covered_in_row_and_column(count: int) -> None:
    finest: dict[Finest, int] = {(a, b): 20 for a in "abc" for b in "xyz"}
    finest["a", "x"] = count
    visible = shown(finest, persons={})
    withheld = set(sums(finest)) - set(visible)
    assert len(withheld) == 4
    assert all(None not in key for key in withheld)
