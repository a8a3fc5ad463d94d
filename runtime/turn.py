"""Turns: long work lets other requests run every few milliseconds."""

from __future__ import annotations

import time
from typing import Final

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
