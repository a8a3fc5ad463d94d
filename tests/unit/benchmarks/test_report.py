"""What is printed and written."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.figures import Spread
from benchmarks.report import machine, table, to_json, written


def test_columns_align() -> None:
    text = table(["who", "loops/s"], [["kopuro", "1,234.5"], ["a much longer name", "7.0"]])

    assert text.splitlines() == [
        "who                 loops/s",
        "------------------  -------",
        "kopuro              1,234.5",
        "a much longer name      7.0",
    ]


def test_a_single_round_has_no_spread_to_show() -> None:
    assert written(Spread(median=12.34, lowest=12.34, highest=12.34)) == "12.3"
    assert written(Spread(median=1234.5, lowest=1000, highest=2000), 0) == "1,234 (1,000 to 2,000)"


def test_records_become_json_objects() -> None:
    document = json.loads(to_json({"rate": Spread(median=2, lowest=1, highest=3)}))

    assert document == {"rate": {"median": 2, "lowest": 1, "highest": 3}}


def test_the_machine_is_described_and_not_named(tmp_path: Path) -> None:
    described = machine(tmp_path)

    assert described["processors"] >= 1
    assert described["file_system"] != "unknown"
    assert str(tmp_path) not in json.dumps(described)
