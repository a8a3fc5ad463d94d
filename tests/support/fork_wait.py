"""Lets a service wait permanently instead of starting (see `altered_service`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlet import patcher


@contextmanager
def altered(_package: str) -> Iterator[None]:
    patcher.original("time").sleep(600)
    yield
