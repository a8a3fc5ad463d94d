"""Handlers of the sample service, each with its own kind of misbehaviour."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable
from typing import Any

import eventlet
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
        if kind == "greenlet":
            self._fail_apart()
            return
        try:
            raise ValueError(SECRET)
        except ValueError as cause:
            raise RuntimeError(f"cannot read {SECRET}") from cause

    def _fail_apart(self) -> None:
        """Let a greenlet of its own fail once it has waited for a socket, as background work may."""
        writing, reading = socket.socketpair()

        def fail() -> None:
            with reading:
                raise ValueError(reading.recv(100).decode())

        eventlet.spawn(fail)
        self._sleep(0)  # it begins, and waits
        with writing:
            writing.send(SECRET.encode())

    def wait(self, seconds: float) -> Any:
        self._sleep(seconds)
        return {"waited": seconds}

    def block(self, seconds: int) -> None:
        """Sleep in C, signals or not, as a database driver may: nothing else in the process runs."""
        libc = ctypes.CDLL(None)
        for _ in range(seconds * 10):
            libc.usleep(100_000)
