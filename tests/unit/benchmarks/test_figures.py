"""Percentiles, ratios and the order of rounds."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from benchmarks.figures import alternated, percentile, percentiles_ratio, ratios, spread


def test_percentile_is_always_one_of_the_values() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]

    assert percentile(values, 0.5) == 3.0
    assert percentile(values, 0.99) == 5.0
    assert percentile(values, 0.2) == 1.0
    assert percentile(values, 0.21) == 2.0
    assert percentile(values, 0) == 1.0
    assert percentile([1.0, 2.0], 0.5) == 1.0


def test_99th_percentile_of_a_thousand_values_leaves_ten_above() -> None:
    values = [float(n) for n in range(1000)]

    assert sum(value > percentile(values, 0.99) for value in values) == 10


def test_percentile_without_values_is_nan() -> None:
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_percentile_share_outside_zero_to_one_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        percentile([1.0], share)


def test_median_is_not_moved_by_one_bad_round() -> None:
    found = spread([100.0, 101.0, 3.0, 99.0, 102.0])

    assert (found.median, found.lowest, found.highest) == (100.0, 3.0, 102.0)


def test_spread_without_rounds_raises() -> None:
    with pytest.raises(ValueError, match="no round"):
        spread([])


def test_ratios_compare_within_a_round() -> None:
    # The machine was ten times slower in the second round, for both.
    rounds = [{"ours": 100.0, "peer": 20.0}, {"ours": 10.0, "peer": 2.0}, {"ours": 120.0, "peer": 20.0}]

    found = ratios(rounds, of="ours")

    assert set(found) == {"peer"}
    assert (found["peer"].median, found["peer"].highest) == (5.0, 6.0)


def test_round_without_one_contender_gives_no_ratio() -> None:
    rounds = [{"ours": 100.0}, {"peer": 5.0}, {"ours": 100.0, "peer": 0.0}, {"ours": 9.0, "peer": 3.0}]

    assert ratios(rounds, of="ours")["peer"].median == 3.0
    assert ratios(rounds[:3], of="ours") == {}


def test_every_round_has_each_contender_once() -> None:
    orders = alternated(["a", "b", "c"], 5)

    assert len(orders) == 5
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)


def test_order_of_contenders_varies_between_rounds() -> None:
    orders = alternated(["a", "b", "c", "d"], 8)

    assert len(Counter(order[0] for order in orders)) > 2
    assert len({order[order.index("a") - 1] for order in orders if order[0] != "a"}) > 1


def test_rounds_without_contenders_are_empty() -> None:
    assert alternated([], 2) == [[], []]


def test_percentiles_of_all_rounds_are_compared_and_not_those_of_each() -> None:
    quiet = [1.0] * 99 + [2.0]
    # One read in 200 is slow: half of the rounds have one, and none changes the p99 of all.
    rounds = [([1.0] * 100, quiet), ([1.0] * 99 + [50.0], quiet)] * 2

    found = percentiles_ratio(rounds, 0.99)

    assert found.value == 1.0
    assert found.lowest == 1.0


def test_interval_contains_the_ratio_and_is_wider_for_rounds_that_differ() -> None:
    equal = percentiles_ratio([([2.0, 4.0], [1.0, 2.0])] * 5, 0.99)
    different = percentiles_ratio([([2.0, 4.0 * n], [1.0, 2.0]) for n in range(1, 6)], 0.99)

    assert (equal.lowest, equal.value, equal.highest) == (2.0, 2.0, 2.0)
    assert different.lowest < different.value == different.highest == 10.0
    assert percentiles_ratio([([2.0, 4.0], [1.0, 2.0])] * 5, 0.99) == equal


def test_percentiles_ratio_without_rounds_raises() -> None:
    with pytest.raises(ValueError, match="no round"):
        percentiles_ratio([], 0.99)
