"""Turns: long work lets other requests run every few milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

TURN_SECONDS: Final = 0.003


class Turn:
    """The current turn of one request, batch or transaction. Begins when it is made."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + TURN_SECONDS

    def end_if_over(self) -> None:
        """Yield to the other greenlets if the turn has taken its time; then begin another one."""
        if time.perf_counter() >= self._end:
            time.sleep(0)
            self._end = time.perf_counter() + TURN_SECONDS


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and yield to the other greenlets between two of them at the end of each turn."""
    turn = Turn()
    for item in items:
        yield item
        turn.end_if_over()
