"""Observes how far this machine's clock is from its time servers.

The kernel knows whether a time service sets its clock. In a container nothing sets it, but chrony still
compares it (`chronyd -x`). Source: timedatectl(1), chronyc(1), `tracking`.
"""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Sequence

from admin.doctor.observations import MachineClock

_SECONDS = 5.0
_TRACKING = ("chronyc", "-c", "tracking")
_FIELDS = 14
_SYSTEM_TIME = 4  # the field with the seconds by which the clock is behind its servers
_LEAP_STATUS = 13
_NOT_SYNCHRONISED = "Not synchronised"


def observed_clock() -> MachineClock:
    """Ask chrony, and systemd where chrony does not run."""
    ahead = ahead_of_servers(_output(_TRACKING))
    if ahead is not None:
        return MachineClock(synchronized=True, ahead=ahead)
    answer = _output(("timedatectl", "show", "--property=NTPSynchronized", "--value"))
    return MachineClock(synchronized={"yes": True, "no": False}.get(answer.strip()))


def ahead_of_servers(tracking: str) -> dt.timedelta | None:
    """Return how far the clock is ahead, from `chronyc -c tracking`; None without a server that answered."""
    fields = tracking.strip().split(",")
    if len(fields) != _FIELDS or fields[_LEAP_STATUS] == _NOT_SYNCHRONISED:
        return None
    try:
        return dt.timedelta(seconds=-float(fields[_SYSTEM_TIME]))
    except ValueError:
        return None


def _output(command: Sequence[str]) -> str:
    """Return what a command prints; nothing where it is not installed, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
