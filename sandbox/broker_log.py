"""Finds the cause of a failed start in the log of a RabbitMQ node. Pure."""

from __future__ import annotations

import re
from typing import Final

_BEFORE: Final = 10
_MOST_LINES: Final = 25
_ONE_START: Final = 150  # lines of a failed start, crash report included
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")  # RabbitMQ colours what it writes to the console
_PREFIX: Final = re.compile(r"^\S+ \S+ \[\w+\] <[\d.]+> ?")  # time, level and Erlang process
_FAILED: Final = "BOOT FAILED"


def cause_of_failure(log: str) -> list[str]:
    """Return the lines that say why a node does not start, at most 25.

    RabbitMQ writes the cause before BOOT FAILED or after it, and then a long crash report. Without BOOT
    FAILED near the end, which may be that of an earlier start, the last lines are returned.
    """
    lines = [_PREFIX.sub("", _COLOUR.sub("", line)).rstrip() for line in log.splitlines()]
    lines = [line for line in lines if line][-_ONE_START:]
    if _FAILED not in lines:
        return lines[-_MOST_LINES:]
    last = len(lines) - 1 - lines[::-1].index(_FAILED)
    first = max(0, last - _BEFORE)
    return lines[first : first + _MOST_LINES]
