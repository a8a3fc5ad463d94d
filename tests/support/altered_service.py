"""A service process as `python -m runtime` runs it, with some parts replaced for a test."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager


def run_altered(package: str, alter: Callable[[], AbstractContextManager[object]]) -> int:
    """Run the service in `package` with what `alter` exchanges; gives the exit status.

    alter: imports what it exchanges when it is called, not before: eventlet must patch the standard library
    first, as in `runtime.__main__`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
        import eventlet

    eventlet.monkey_patch()
    from runtime.process import run

    with alter():
        return run(package)
