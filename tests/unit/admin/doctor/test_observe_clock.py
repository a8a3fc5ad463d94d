"""The machine's clock beside its time servers, from chrony's own output."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from admin.doctor.observations import MachineClock
from admin.doctor.observe_clock import ahead_of_servers, observed_clock

# chrony 4.3, `chronyd -x` against a server whose clock was five seconds ahead of this one.
BEHIND = (
    "7F000001,127.0.0.1,2,1795761067.199890257,5.000120163,-0.000048783,0.000048783,-10.101,-0.000,490.856,"
    "0.000190074,0.003112552,2.0,Normal\n"
)
# The same before the first answer.
UNANSWERED = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,"
    "0.0,Not synchronised\n"
)


def test_clock_behind_its_servers_is_negative_ahead() -> None:
    assert ahead_of_servers(BEHIND) == dt.timedelta(seconds=-5, microseconds=-120)


@pytest.mark.parametrize(
    "output", ["", UNANSWERED, "506 Cannot talk to daemon\n", BEHIND.replace("5.0", "x")]
)
def test_output_without_a_server_gives_no_clock(output: str) -> None:
    assert ahead_of_servers(output) is None


@pytest.mark.parametrize(
    ("programs", "clock"),
    [
        ({}, MachineClock(synchronized=None)),
        ({"timedatectl": "echo no"}, MachineClock(synchronized=False)),
        ({"timedatectl": "echo yes", "chronyc": "exit 1"}, MachineClock(synchronized=True)),
        # In a container nothing sets the clock, so the kernel does not call it synchronised.
        (
            {"timedatectl": "echo no", "chronyc": f"echo '{BEHIND.strip()}'"},
            MachineClock(synchronized=True, ahead=dt.timedelta(seconds=-5, microseconds=-120)),
        ),
    ],
)
def test_chrony_is_asked_before_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], clock: MachineClock
) -> None:
    for name, script in programs.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))

    assert observed_clock() == clock
