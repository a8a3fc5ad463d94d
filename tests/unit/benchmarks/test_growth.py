"""Growth factors: a higher cost or a lower rate is slower."""

from __future__ import annotations

from benchmarks.growth import EMPTY, GROWN, slower


def test_halved_rate_and_doubled_cost_are_twice_as_slow() -> None:
    rounds = [
        {EMPTY: {"closed loops/s": 200.0, "CPU ms": 4.0}, GROWN: {"closed loops/s": 100.0, "CPU ms": 8.0}},
        {EMPTY: {"closed loops/s": 100.0, "CPU ms": 5.0}, GROWN: {"closed loops/s": 100.0, "CPU ms": 5.0}},
    ]

    found = slower(rounds)

    assert (found["closed loops/s"].lowest, found["closed loops/s"].highest) == (1.0, 2.0)
    assert (found["CPU ms"].lowest, found["CPU ms"].highest) == (1.0, 2.0)


def test_zero_values_are_left_out_of_growth() -> None:
    assert slower([{EMPTY: {"CPU ms": 0.0}, GROWN: {"CPU ms": 1.0}}]) == {}
