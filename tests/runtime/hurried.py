"""Alters a service process: short deadlines and few file descriptors (`tests.support.altered_service`)."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from runtime.web import deadlines

OPEN_FILES = 256  # so 128 connections of the public port, 64 of one address
DEADLINE = 1.0
RATE = 256 * 1024


@contextmanager
def altered(_package: str) -> Iterator[None]:
    """Shorten every deadline to DEADLINE, raise the lowest rate, and lower the limit of open files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    changed: dict[str, Any] = {"LOWEST_RATE": RATE}
    for phase in ("HEAD", "KEEPALIVE", "BODY", "DISCARD", "RESPONSE"):
        changed[f"{phase}_SECONDS"] = DEADLINE
    with patch.multiple(deadlines, **changed):
        yield
