"""Background work and how it is started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Spawn(Protocol):
    """Runs a function in its own greenlet; if the function raises, the process ends."""

    def __call__(self, function: Callable[[], None], /) -> object: ...


class Background(Protocol):
    """Work outside of requests: a relay, a poll for deadlines."""

    def start(self, spawn: Spawn, /) -> None:
        """Start. Called once when the process starts; must not block."""
        ...

    def stop(self) -> None:
        """Stop, and return when stopped. Called after the last response."""
        ...
