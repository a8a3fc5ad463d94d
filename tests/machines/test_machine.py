"""Removal of machines only without mounts in them, and the one-line result of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.__main__ import RELEASES, Trial, arguments_of, result, table
from tests.machines.machine import Ended, mounted_below, remove

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:5 / /build/trixie/dev rw,relatime - devtmpfs devtmpfs rw
31 22 0:6 / /build/trixie-root rw,relatime - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("root", "below"),
    [
        ("/build/trixie", ["/build/trixie/dev"]),
        ("/build/trixie-root", ["/build/trixie-root"]),
        ("/build/bookworm", []),
        ("/", ["/", "/build/trixie/dev", "/build/trixie-root"]),
    ],
)
def test_mounts_below_a_machine_are_found(root: str, below: list[str]) -> None:
    assert mounted_below(Path(root), MOUNTS) == below


def test_directory_without_mounts_is_removed(tmp_path: Path) -> None:
    (tmp_path / "machine" / "etc").mkdir(parents=True)

    remove(tmp_path / "machine")
    remove(tmp_path / "machine")  # nothing is there: nothing to do

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "last", "told"),
    [
        (0, "bye", "passes"),
        (2, "make: *** [Makefile:39: demo] Error 1", "fails (2)"),
        (
            0,
            "======== 5315 passed, 1 warning in 512.33s (0:08:32) ========",
            "passes: 5315 passed, 1 warning",
        ),
        (1, "2 failed, 5313 passed in 700.01s (0:11:40)", "fails (1): 2 failed, 5313 passed"),
        (None, "", "took too long"),
    ],
)
def test_end_of_command_is_reported_with_pytest_summary(status: int | None, last: str, told: str) -> None:
    assert result(Ended(status=status, seconds=1.0, output=f"first\n{last}\n")) == told


def test_table_has_a_row_for_each_trial() -> None:
    trial = Trial(
        release="trixie",
        python="3.13.5",
        rabbitmq="4.0.5",
        account="user",
        command="make demo",
        ended=Ended(status=0, seconds=140.2, output=""),
    )

    rows = table([trial]).splitlines()

    assert len(rows) == 3
    assert rows[-1] == (
        f"| {RELEASES['trixie']} | 3.13.5 | 4.0.5 | a user with sudo | `make demo` | passes | 2 min 20 s |"
    )


def test_arguments_of_pytest_are_passed_on_with_their_options() -> None:
    chosen = arguments_of(["--release", "trixie", "--only", "-n", "2", "--ignore", "tests/vectors", "tests"])

    assert chosen.only == ["-n", "2", "--ignore", "tests/vectors", "tests"]
    assert chosen.release == ["trixie"]
