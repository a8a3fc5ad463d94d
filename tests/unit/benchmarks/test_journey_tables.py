"""The tables of the journey benchmark: medians of the rounds, and comparisons within a round."""

from __future__ import annotations

from typing import Any

from benchmarks.comparison import CEILING, FASTSTREAM, NAMEKO, OURS
from benchmarks.journey_tables import comparison, journey

STEPS = ("submit_to_offer", "accept_to_confirmation", "progress_to_confirmation", "complete_to_confirmation")


def _phase(rate: float) -> dict[str, Any]:
    return {
        "rate": rate,
        "latency_ms": {step: {"p50": rate / 10, "p99": rate} for step in STEPS},
        "usage": {
            "cpu_ms_a_loop": {"intake": 2.0, "broker": 3.0},
            "commits_a_loop": {"intake": 0.5},
            "resident_mib": {"intake": 50.0, "broker": 90.0},
        },
        "cpu_ms_a_loop": 1000 / rate,
        "messages_a_loop": 12.0,
        "commits_a_loop": 0.5,
    }


def _round(ours: float) -> dict[str, Any]:
    return {
        OURS: {"50/s": _phase(50), "saturation": _phase(ours)},
        NAMEKO: {"saturation": _phase(100)},
        FASTSTREAM: {"saturation": _phase(50)},
        CEILING: {"saturation": {"rate": 1000.0, "messages_a_loop": 12.0}},
    }


ROUNDS = [_round(100), _round(200), _round(400)]


def _rows(text: str) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell] for line in text.splitlines()]


def test_latencies_are_shown_for_each_load_and_usage_for_each_process() -> None:
    rows = [[cell.strip() for cell in row] for row in _rows(journey(ROUNDS))]

    assert ["50/s", "50.0", *["5 / 50"] * 4] in rows
    assert ["saturation", "200.0 (100.0 to 400.0)", *["20 / 200"] * 4] in rows
    assert rows.count(["intake", "2.00", "0.50", "50.00"]) == 3, "ours and both peers"
    assert rows.count(["broker", "3.00", "90.00"]) == 3, "which commits nothing"


def test_table_compares_kopuro_with_each_peer_within_a_round() -> None:
    rows = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in _rows(comparison(ROUNDS))}

    spread = "2.00 (1.00 to 4.00)"
    assert rows[OURS] == ["200.0 (100.0 to 400.0)", "1", "5.0 (2.5 to 10.0)", "1", "12.0", "0.50"]
    assert rows[NAMEKO] == ["100.0", spread, "10.0", spread, "12.0", "0.50"]
    assert rows[CEILING] == ["1,000.0", "0.20 (0.10 to 0.40)", "12.0"]
