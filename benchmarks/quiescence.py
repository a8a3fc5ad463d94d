"""Waiting for quiescence: an observed value has stopped changing."""

from __future__ import annotations

import time
from collections.abc import Callable

# Longer than the publication interval of a log and the polling interval of a relay.
QUIET_SECONDS = 1.2


def wait_until_quiescent(observe: Callable[[], object], *, within: float = 60.0) -> None:
    """Return when `observe` has returned the same value for a while. Raises TimeoutError."""
    deadline = time.monotonic() + within
    seen, since = observe(), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise TimeoutError("the system does not come to rest")
        time.sleep(0.05)
        if (now := observe()) != seen:
            seen, since = now, time.monotonic()
