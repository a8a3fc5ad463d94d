"""Withheld counts cannot be computed: for each, another table has the same rows and the same total."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice

from hypothesis import given, settings
from hypothesis import strategies as st

from services.routing.domain.withholding import FEWEST_HIDDEN, THRESHOLD, Path, PublishedFigures, published

# Two branches of four cells, and two of three. A flat table of seven cells.
BRANCHES = {"a": 4, "b": 4, "c": 3, "d": 3}
DEEP: list[Path] = [(branch, str(cell)) for branch, cells in BRANCHES.items() for cell in range(cells)]
FLAT: list[Path] = [(str(cell),) for cell in range(7)]


def first(path: Path) -> int:
    """The first by name of two equal rows."""
    return 0


def deep(counts: Mapping[Path, int], lot: Callable[[Path], int] = first) -> PublishedFigures:
    return published(counts, (2, 1, 0), lambda path: BRANCHES[path[0]] if path else len(BRANCHES), lot)


def flat(counts: Mapping[Path, int], lot: Callable[[Path], int] = first) -> PublishedFigures:
    return published(counts, (1, 0), lambda path: len(FLAT), lot)


def tables(cells: list[Path]) -> st.SearchStrategy[dict[Path, int]]:
    count = st.one_of(st.just(0), st.integers(0, 5), st.integers(4, 12))
    return st.lists(count, min_size=len(cells), max_size=len(cells)).map(
        lambda counts: dict(zip(cells, counts, strict=True))
    )


def row_of(cell: Path, rows: Mapping[Path, int]) -> Path | None:
    """The row that counts a cell: the one of its longest prefix."""
    return next((cell[:n] for n in range(len(cell), -1, -1) if cell[:n] in rows), None)


def lookalikes(counts: dict[Path, int], cell: Path, rows: Mapping[Path, int]) -> Iterator[dict[Path, int]]:
    """Tables in which the cell has another count: nearly empty ones, then some of the same total."""
    yield {cell: (counts[cell] + 1) % THRESHOLD}
    for moved in (-1, 1, -2, 2, -3, 3, -4, 4):
        for other in counts:
            if other != cell and counts[other] >= moved and counts[cell] + moved >= 0:
                yield {**counts, cell: counts[cell] + moved, other: counts[other] - moved}
    # Everything that the cell shares a row with: in one other cell, and evenly over the branches.
    row = row_of(cell, rows)
    if row is None:
        return
    sharing = [other for other in counts if row_of(other, rows) == row]
    others = [other for other in sharing if other != cell]
    bare = {**counts, **dict.fromkeys(sharing, 0)}
    for count in set(range(THRESHOLD)) - {counts[cell]}:
        yield from ({**bare, cell: count, other: rows[row] - count} for other in others)
    without = {path[:1]: path for path in others}
    for each in (without, {**without, cell[:1]: cell}):
        for start in range(len(each)):
            evenly = islice(cycle(each.values()), start, start + rows[row])
            yield {**bare, **Counter(evenly)}


def check_each_small_count_has_a_lookalike(cells: list[Path], counts: dict[Path, int]) -> None:
    publish = flat if cells is FLAT else deep
    seen = publish(counts)
    for cell in cells:
        if counts[cell] < THRESHOLD:
            assert cell not in seen.rows
            found = (one for one in lookalikes(counts, cell, seen.rows) if one.get(cell) != counts[cell])
            # The reader does not know the random draw, so it may have decided for the rows that are not
            # shown.
            assert any(publish(other, seen.rows.__contains__) == seen for other in found), (cell, seen)


@settings(max_examples=50)
@given(tables(FLAT))
def test_small_count_of_flat_table_has_lookalike_for_reader_who_knows_the_rules(
    counts: dict[Path, int],
) -> None:
    if sum(counts.values()) >= THRESHOLD:
        check_each_small_count_has_a_lookalike(FLAT, counts)


@settings(max_examples=50)
@given(tables(DEEP))
def test_small_count_of_deep_table_has_lookalike_for_reader_who_knows_the_rules(
    counts: dict[Path, int],
) -> None:
    if sum(counts.values()) >= THRESHOLD:
        check_each_small_count_has_a_lookalike(DEEP, counts)


@given(st.one_of(tables(FLAT), tables(DEEP)))
def test_rows_are_disjoint_true_and_not_small(counts: dict[Path, int]) -> None:
    seen = flat(counts) if len(counts) == len(FLAT) else deep(counts)
    if seen.total is None:
        assert not seen.rows
        return
    assert seen.total == sum(counts.values()) == sum(seen.rows.values())
    covered = {row: [cell for cell in counts if row_of(cell, seen.rows) == row] for row in seen.rows}
    for row, cells in covered.items():
        assert seen.rows[row] == sum(counts[cell] for cell in cells) >= THRESHOLD
        # Sums and differences of rows never hold one cell of a shared row without the others.
        assert cells == [row] or len(cells) >= FEWEST_HIDDEN


def test_fewer_than_five_and_none_at_all_look_alike() -> None:
    assert flat({}) == flat({("1",): 4}) == flat({("1",): 2, ("2",): 2}) == PublishedFigures()


def test_row_of_others_takes_in_the_smallest_row_when_it_would_be_too_small() -> None:
    assert flat({("1",): 9, ("2",): 6, ("3",): 1}) == PublishedFigures(total=16, rows={("1",): 9, (): 7})


def test_row_of_others_takes_in_the_smallest_row_when_nothing_is_left_for_it() -> None:
    assert flat({("1",): 9, ("2",): 6}) == PublishedFigures(total=15, rows={("1",): 9, (): 6})


def test_branch_with_enough_small_cells_has_its_own_row() -> None:
    small: dict[Path, int] = {("a", str(n)): 2 for n in range(4)}
    seen = deep({**small, ("b", "0"): 30, ("b", "1"): 1, ("c", "0"): 4})
    assert seen == PublishedFigures(total=43, rows={("a",): 8, ("b", "0"): 30, (): 5})


def test_table_without_hidden_cells_shows_each_of_them() -> None:
    counts = dict.fromkeys(FLAT, 5)
    assert flat(counts) == PublishedFigures(total=35, rows=counts)


def test_branch_in_which_every_cell_would_have_the_largest_small_count_has_no_row() -> None:
    seen = deep({**{("a", str(n)): 4 for n in range(4)}, ("b", "0"): 30})
    assert ("a",) not in seen.rows


def test_total_of_two_cells_is_withheld_because_each_owner_would_know_the_other() -> None:
    assert published({("1",): 7, ("2",): 6}, (1, 0), lambda path: 3, first).total == 13
    assert published({("1",): 7}, (1, 0), lambda path: 2, first) == PublishedFigures()
