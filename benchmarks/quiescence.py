"""When a system has come to rest: what is looked at has stopped changing."""

from __future__ import annotations

import time
from collections.abc import Callable

# Longer than a log waits before it publishes what is new, and a relay before it looks again.
QUIET_SECONDS = 1.2


def wait_until_quiescent(look: Callable[[], object], *, within: float = 60.0) -> None:
    """Returns when `look` has given the same for a while. Raises TimeoutError."""
    deadline = time.monotonic() + within
    seen, since = look(), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise TimeoutError("the system does not come to rest")
        time.sleep(0.05)
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
