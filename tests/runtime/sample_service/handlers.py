"""Handlers of the sample service, each with its own kind of misbehaviour."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import sqlalchemy.exc

from contracts.errors import Refused, Unavailable

SECRET = "Aigerim-Toktogulova"


class Handlers:
    """sleep: how to wait without keeping others waiting."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def refuse(self) -> None:
        raise Refused("conflict", "The sample always refuses.")

    def fail(self, kind: str) -> None:
        if kind == "unavailable":
            raise Unavailable("The sample is away.", retry_after=7)
        if kind == "database":
            raise sqlalchemy.exc.OperationalError(f"SELECT '{SECRET}'", {}, Exception(SECRET))
        try:
            raise ValueError(SECRET)
        except ValueError as cause:
            raise RuntimeError(f"cannot read {SECRET}") from cause

    def wait(self, seconds: float) -> Any:
        self._sleep(seconds)
        return {"waited": seconds}

    def block(self, seconds: int) -> None:
        """Sleep in C, signals or not, as a database driver may: nothing else in the process runs."""
        libc = ctypes.CDLL(None)
        for _ in range(seconds * 10):
            libc.usleep(100_000)
