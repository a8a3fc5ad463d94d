"""Pauses between two looks at a condition.

A look at a hub costs some milliseconds of CPU time, its own and a service's. Most conditions hold after some
hundredths of a second; the others wait for a deadline or an interval of seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_FIRST: Final = 0.01
_LONGEST: Final = 0.25
_GROWTH: Final = 1.4


def pauses() -> Iterator[float]:
    """Yield the seconds of each pause, without end: the first ones are short."""
    seconds = _FIRST
    while True:
        yield seconds
        seconds = min(_LONGEST, seconds * _GROWTH)
