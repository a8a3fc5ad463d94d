"""The slope of a line through points, and its error."""

from __future__ import annotations

import random

import pytest

from benchmarks.slope import slope

TIMES = [float(n) for n in range(200)]


def test_slope_of_straight_line_has_no_error() -> None:
    found = slope(TIMES, [3.0 + 0.5 * time for time in TIMES])

    assert found.rate == pytest.approx(0.5)
    assert found.error == pytest.approx(0.0, abs=1e-9)
    assert found.is_certain


def test_noise_without_trend_is_not_growth() -> None:
    chance = random.Random(7)

    found = slope(TIMES, [100 + chance.gauss(0, 1) for _ in TIMES])

    assert not found.is_certain


def test_interval_covers_true_slope_of_correlated_points() -> None:
    chance = random.Random(1)
    held = 0
    for _ in range(200):
        error, values = 0.0, []
        for time in TIMES:
            error = 0.8 * error + chance.gauss(0, 1)
            values.append(0.01 * time + error)
        found = slope(TIMES, values)
        held += abs(found.rate - 0.01) <= found.error

    # Independent points would give 95 of 100; counting these as independent gives some 50.
    assert held > 170


@pytest.mark.parametrize("points", [0, 2])
def test_slope_of_two_points_has_no_error_estimate(points: int) -> None:
    with pytest.raises(ValueError, match="three points"):
        slope(TIMES[:points], TIMES[:points])


def test_points_at_one_time_have_no_slope() -> None:
    with pytest.raises(ValueError, match="one time"):
        slope([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
