"""Work beside the requests, and how it is started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Spawn(Protocol):
    """Runs a function in a greenlet of its own; if the function raises, the process ends."""

    def __call__(self, function: Callable[[], None], /) -> object: ...


class Background(Protocol):
    """Work beside the requests: a relay, a poll for deadlines."""

    def start(self, spawn: Spawn, /) -> None:
        """Begin; called once, when the process starts, and must not block."""
        ...

    def stop(self) -> None:
        """End, and return when ended; called after the last request has been answered."""
        ...
