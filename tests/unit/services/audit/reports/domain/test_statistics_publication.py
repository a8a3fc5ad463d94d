"""Published rows and sums of a table reveal no small count."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.audit.reports.domain.statistics_classes import COMBINED, combined_classes
from services.audit.reports.domain.statistics_counts import (
    MOST_CELLS,
    CountedReferral,
    Figure,
    Statistics,
    statistics_of,
)
from tests.long_run import times

SEXES, URGENCIES = ("female", "male", "other", "unknown"), ("urgent", "routine", "emergency")
Cell = tuple[str, str]


def referrals(table: Mapping[Cell, int]) -> list[CountedReferral]:
    return [
        CountedReferral(
            referral_id=f"{cell}{n}",
            situation={"sex": (cell[0],), "urgency": (cell[1],)},
            outcome="open",
            organization_kind="none",
            answered=dt.timedelta(hours=n),
            entries=(n,),
        )
        for cell, count in table.items()
        for n in range(count)
    ]


def published(table: Mapping[Cell, int]) -> list[Statistics]:
    """All three tables by these two dimensions: a reader may ask for each."""
    counted = referrals(table)
    return [statistics_of(counted, by) for by in (("sex",), ("urgency",), ("sex", "urgency"))]


def rows(tables: Iterable[Statistics]) -> tuple[tuple[object, ...], ...]:
    return tuple(
        (made.by, tuple(sorted(figure.values.items())), figure.count)
        for made in tables
        for figure in made.figures
    )


@pytest.mark.parametrize("exact", [False, True])
def test_counting_pauses_after_each_referral_and_each_figure(exact: bool) -> None:
    """Tens of thousands of referrals take more than a quarter of a second."""
    pauses: list[None] = []
    counted = referrals({(sex, "routine"): 20 for sex in SEXES})
    made = statistics_of(counted, ("sex",), exact=exact, pause=lambda: pauses.append(None))
    passes = 1 if exact else 2  # small classes are looked for first
    assert len(pauses) == passes * len(counted) + len(made.figures)


def small_counts(table: Mapping[Cell, int]) -> dict[object, int]:
    """Every cell and sum that concerns one to four persons."""
    counts: Counter[object] = Counter()
    for (sex, urgency), count in table.items():
        counts.update({("sex", sex): count, ("urgency", urgency): count, (sex, urgency): count})
    return {name: count for name, count in counts.items() if 0 < count < 5}


def assert_nothing_small_follows(tables: list[dict[Cell, int]]) -> None:
    """Groups the tables by what is published of them: in a group no small count is the same throughout."""
    alike: dict[object, list[dict[Cell, int]]] = defaultdict(list)
    for table in tables:
        alike[rows(published(table))].append(table)
    for group in alike.values():
        all_counts = [small_counts(table) for table in group]
        for counts in all_counts:
            for name, count in counts.items():
                assert any(other.get(name) != count for other in all_counts), (group[0], name)


def test_small_class_of_two_cannot_be_inferred_from_the_rules() -> None:
    assert_nothing_small_follows(
        [{(SEXES[0], "urgent"): a, (SEXES[1], "urgent"): b} for a, b in product(range(15), repeat=2)]
    )


def fits(table: Mapping[Cell, int], rows_: Iterable[tuple[set[Cell], int]]) -> bool:
    return all(sum(table[cell] for cell in cells) == count for cells, count in rows_)


def constraints(table: Mapping[Cell, int]) -> list[tuple[set[Cell], int]]:
    """Each published count, and the cells that it is a sum of."""
    found = []
    for made in published(table):
        named = {d: {f.values[d] for f in made.figures if d in f.values} for d in made.by}

        def covers(
            figure: Figure, cell: Cell, made: Statistics = made, named: dict[str, set[str]] = named
        ) -> bool:
            for dimension, value in zip(("sex", "urgency"), cell, strict=True):
                wanted = figure.values.get(dimension)
                if wanted == COMBINED and value in named[dimension]:
                    return False
                if wanted not in (None, COMBINED, value):
                    return False
            return True

        for figure in made.figures:
            if figure.count is not None:
                found.append(({cell for cell in table if covers(figure, cell)}, figure.count))
    return found


CELLS = list(product(SEXES[:3], URGENCIES[:2]))


@settings(max_examples=times(15, 40))
@given(st.lists(st.integers(0, 7) | st.integers(0, 3), min_size=6, max_size=6))
def test_every_small_count_has_another_value_in_a_table_with_the_same_published_rows(
    counts: list[int],
) -> None:
    table = dict(zip(CELLS, counts, strict=True))
    constraint_list = constraints(table)
    assert all(count == sum(table[cell] for cell in cells) for cells, count in constraint_list)
    assert all(count >= 5 for _, count in constraint_list)
    undecided = small_counts(table)
    most = sum(counts)
    bounds = [
        min([count for cells, count in constraint_list if cell in cells], default=most) for cell in CELLS
    ]

    def search(number: int, so_far: dict[Cell, int]) -> bool:
        if number == len(CELLS):
            if fits(so_far, constraint_list):
                other: Counter[object] = Counter()
                for (sex, urgency), count in so_far.items():
                    other.update({("sex", sex): count, ("urgency", urgency): count, (sex, urgency): count})
                for name in [name for name, count in undecided.items() if other[name] != count]:
                    del undecided[name]
            return not undecided
        left = [(cells, count) for cells, count in constraint_list if CELLS[number] in cells]
        for count in range(min(bounds[number], most) + 1):
            grown = {**so_far, CELLS[number]: count}
            if all(sum(grown.get(cell, 0) for cell in cells) <= limit for cells, limit in left) and search(
                number + 1, grown
            ):
                return True
        return False

    if undecided and constraint_list:
        assert search(0, {}), undecided


@given(st.lists(st.integers(0, 40), min_size=12, max_size=12))
@example([0] * 10 + [1, 4])
def test_every_combination_of_classes_has_a_row_that_is_true_or_marked(counts: list[int]) -> None:
    table = dict(zip(product(SEXES, URGENCIES), counts, strict=True))
    for made in published(table):
        if not any(figure.values for figure in made.figures):
            continue
        named = [{f.values.get(d) for f in made.figures} for d in made.by]
        assert len(made.figures) == len(list(product(*named)))
        total = next(f.count for f in made.figures if not f.values)
        assert total == sum(counts)
        if len(made.by) == 1:
            assert sum(f.count or 0 for f in made.figures if f.values) == total
            # A single row of combined classes says nothing about any class.
            shown = [value for f in made.figures for value in f.values.values()]
            assert made.withheld is (shown == [COMBINED])


@given(
    st.lists(
        st.dictionaries(st.text(max_size=2), st.sets(st.integers(0, 60), min_size=1), max_size=60),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from([4, 20, MOST_CELLS]),
)
def test_combined_classes_are_none_or_hold_enough_persons(
    dimensions: list[dict[str, set[int]]], most_cells: int
) -> None:
    combined = combined_classes([*dimensions], most_cells=most_cells)
    cells = 1
    for classes, found in zip(dimensions, combined, strict=True):
        rest = classes.keys() - found
        cells *= len(rest) + bool(found)
        assert found <= classes.keys()
        assert all(len(classes[name]) >= 5 for name in rest)
        if found and rest:
            assert len(found) > 1
            assert len(set().union(*(classes[name] for name in found))) >= 5
    assert cells <= most_cells


def test_one_small_class_absorbs_only_the_smallest_other() -> None:
    table = {("female", "urgent"): 340, ("male", "urgent"): 118, ("other", "urgent"): 2}
    by_sex = published(table)[0]
    assert {f.values.get("sex"): f.count for f in by_sex.figures} == {"female": 340, COMBINED: 120, None: 460}


def test_table_without_a_row_beside_the_combined_one_is_withheld() -> None:
    by_sex, by_urgency, by_both = published({("male", "urgent"): 118, ("other", "urgent"): 2})
    assert {f.values.get("sex"): f.count for f in by_sex.figures} == {COMBINED: 120, None: 120}
    assert by_sex.withheld
    assert not by_urgency.withheld, "one class that is not small has its row"
    assert by_both.withheld


def test_several_small_classes_that_suffice_together_absorb_no_other() -> None:
    table = {
        ("female", "urgent"): 340,
        ("male", "urgent"): 118,
        ("other", "urgent"): 4,
        ("unknown", "urgent"): 1,
    }
    by_sex = published(table)[0]
    assert {f.values.get("sex"): f.count for f in by_sex.figures} == {
        "female": 340,
        "male": 118,
        COMBINED: 5,
        None: 463,
    }
