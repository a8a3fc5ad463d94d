"""The table that compares this version with an earlier commit."""

from __future__ import annotations

from typing import Any

from benchmarks.since import EARLIER, NOW, table_of


def turn(*, rate: float, loads: tuple[str, ...] = ("100/s",)) -> dict[str, Any]:
    latencies = {
        f"{step}": {"p50": 1.0, "p99": 200.0}
        for step in (
            "submit_to_offer",
            "accept_to_confirmation",
            "progress_to_confirmation",
            "complete_to_confirmation",
        )
    }
    phase = {
        "rate": rate,
        "cpu_ms_a_loop": 9.0,
        "usage": {"cpu_ms_a_loop": {"broker": 5.0, "driver": 0.5, "intake": 1.0, "routing": 3.0}},
        "latency_ms": latencies,
    }
    return {
        "journey": {"saturation": phase, **dict.fromkeys(loads, phase)},
        "submit": {kind: {"rate": 700.0, "p50": 3.0, "p99": 9.0} for kind in ("alone", "whole hub")},
        "log": {"full": 30_000.0, "full_cpu_us": 29.0},
        "proofs": {"rate": 14_000.0, "cpu_us": 70.0},
    }


def rows(*measured: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    _, found = table_of(measured)
    return {title: rest for title, *rest in found}


def test_a_ratio_is_taken_within_a_round() -> None:
    table = rows(
        {NOW: turn(rate=90.0), EARLIER: turn(rate=100.0)},
        {NOW: turn(rate=45.0), EARLIER: turn(rate=50.0)},
        {NOW: turn(rate=40.0), EARLIER: turn(rate=50.0)},
    )
    assert table["closed loops at saturation"] == [
        "a second",
        "50.0 (50.0 to 100.0)",
        "45.0 (40.0 to 90.0)",
        "0.90 (0.80 to 0.90)",
    ]


def test_services_are_counted_without_the_broker_and_the_driver() -> None:
    table = rows({NOW: turn(rate=90.0), EARLIER: turn(rate=100.0)})
    assert table["a loop at saturation: the services"] == ["CPU ms", "4.0", "4.0", "1.00"]


def test_a_load_of_one_version_only_has_no_row() -> None:
    table = rows({NOW: turn(rate=90.0, loads=("100/s", "200/s")), EARLIER: turn(rate=100.0)})
    assert "accept at 100/s, p99" in table
    assert "accept at 200/s, p99" not in table


def test_a_part_that_was_not_measured_has_no_rows() -> None:
    loops = {version: {"journey": turn(rate=90.0)["journey"]} for version in (NOW, EARLIER)}
    log = {version: {name: turn(rate=1.0)[name] for name in ("log", "proofs")} for version in (NOW, EARLIER)}
    assert "closed loops at saturation" in rows(loops)
    assert "audit log: appends" not in rows(loops)
    assert "audit log: appends" in rows(log)
    assert not any("loop" in title for title in rows(log))
