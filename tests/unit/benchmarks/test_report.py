"""The printed and written reports."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.figures import Spread
from benchmarks.report import file_system, machine, table, to_json, written


def test_columns_align() -> None:
    text = table(["who", "loops/s"], [["kopuro", "1,234.5"], ["a much longer name", "7.0"]])

    assert text.splitlines() == [
        "who                 loops/s",
        "------------------  -------",
        "kopuro              1,234.5",
        "a much longer name      7.0",
    ]


def test_single_round_is_shown_without_spread() -> None:
    assert written(Spread(median=12.34, lowest=12.34, highest=12.34)) == "12.3"
    assert written(Spread(median=1234.5, lowest=1000, highest=2000), 0) == "1,234 (1,000 to 2,000)"


def test_records_become_json_objects() -> None:
    document = json.loads(to_json({"rate": Spread(median=2, lowest=1, highest=3)}))

    assert document == {"rate": {"median": 2, "lowest": 1, "highest": 3}}


def test_machine_is_described_and_not_named(tmp_path: Path) -> None:
    described = machine(tmp_path)

    assert described["processors"] >= 1
    assert described["file_system"] == file_system(tmp_path)
    assert described["file_system"] != ""
    assert str(tmp_path) not in json.dumps(described)


def test_file_system_is_that_of_closest_mount_point(tmp_path: Path) -> None:
    spaced, mounts = tmp_path / "a disk", tmp_path / "mounts"
    (spaced / "data").mkdir(parents=True)
    written_point = str(spaced).replace(" ", r"\040")
    mounts.write_text(
        "/dev/a / ext4 rw 0 0\n"
        f"/dev/b {written_point} btrfs rw 0 0\n"
        f"/dev/c {written_point} xfs rw 0 0\n"  # mounted over the one before
        f"proc {written_point}/data/more proc rw 0 0\n"
    )

    assert file_system(spaced / "data", mounts) == "xfs"
    assert file_system(tmp_path, mounts) == "ext4"


@pytest.mark.parametrize("table", ["proc /proc proc rw 0 0\n", "", None], ids=["others", "empty", "absent"])
def test_file_system_missing_from_mount_table_is_read_by_statfs(tmp_path: Path, table: str | None) -> None:
    """The case of a chroot and of some containers: `/` itself is in no table there."""
    mounts = tmp_path / "mounts"
    if table is not None:
        mounts.write_text(table)
    told = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True)

    assert file_system(tmp_path, mounts) == told.stdout.strip() != ""


def test_undetectable_file_system_is_unknown(tmp_path: Path) -> None:
    assert file_system(tmp_path / "gone", tmp_path / "mounts") == "unknown"
