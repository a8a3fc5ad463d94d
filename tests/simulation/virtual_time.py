"""A clock that only the schedule advances, and ids that depend only on the schedule."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import uuid_utils

BEGINNING = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


class VirtualTime:
    """A `runtime.clock.Clock`, and the source of every id made while it is `ruling`."""

    def __init__(self) -> None:
        self._now = BEGINNING
        self._ids = 0

    def now(self) -> dt.datetime:
        return self._now

    def advance(self, by: dt.timedelta) -> None:
        self._now += by

    def new_id(self) -> str:
        """A UUIDv7 of the virtual moment; ids rise in the order in which they are made."""
        milliseconds = int(self._now.timestamp() * 1000)
        return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-{self._next():012x}"

    def _next(self) -> int:
        self._ids += 1
        return self._ids

    @contextmanager
    def ruling(self) -> Iterator[None]:
        """Inside the block ids come from this clock and sleeps return at once: a seed gives one story."""
        with (
            patch.object(uuid_utils, "uuid7", self.new_id),
            patch.object(secrets, "randbits", lambda _bits: self._next()),
            patch.object(time, "sleep", lambda seconds: None),
        ):
            yield
