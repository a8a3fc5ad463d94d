"""Waiting for a condition instead of a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.support.pauses import pauses

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, *, within: float = 30.0) -> T:
    """Return the first result of `look` that is neither None nor False.

    within: seconds, after which AssertionError is raised.
    """
    deadline = time.monotonic() + within
    for pause in pauses():
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {within:g} s"
        time.sleep(pause)
    raise AssertionError("the pauses have no end")
