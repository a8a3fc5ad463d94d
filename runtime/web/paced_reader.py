"""The receiving side of a connection, which looks rarely at a peer that sends a few bytes at a time.

Each look wakes a greenlet and costs the same for one byte as for a thousand. So a peer that drips bytes over
thousands of connections would keep the process busy. The kernel gathers what arrives between two looks, so
that a slow peer loses no throughput.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import Any, Final

import eventlet

FREE_LOOKS: Final = 4  # per request: reads that are free for a client that sends small pieces without delay
_EARNS_A_LOOK: Final = 512  # bytes
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


class PacedReader(io.RawIOBase):
    """A raw stream in front of a socket's. Pauses double from 0.05 to 2 s while only small pieces arrive."""

    def __init__(
        self,
        raw: Any,
        *,
        sleep: Callable[[float], object] = eventlet.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """raw: the stream of the socket; it is closed with this one. draw: returns a number from 0 to 1.

        A pause is drawn from its half to the whole: peers that drip together are not looked at together.
        """
        self._raw = raw
        self._sleep = sleep
        self._draw = draw
        self.begin()

    def begin(self) -> None:
        """Begin another request, with new free looks."""
        self._looks = float(FREE_LOOKS)
        self._pause = _FIRST_PAUSE

    def spend(self) -> None:
        """Look rarely from now on: nobody waits for what comes."""
        self._looks = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """See `io.RawIOBase.readinto`."""
        if self._looks < 1:
            self._sleep(self._pause * (1 + self._draw()) / 2)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._looks = 1.0
        received: int = self._raw.readinto(buffer)
        earned = received / _EARNS_A_LOOK
        self._looks = min(float(FREE_LOOKS), self._looks - 1 + earned)
        if earned >= 1:
            self._pause = _FIRST_PAUSE
        return received

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
