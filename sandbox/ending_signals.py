"""SIGTERM and Ctrl-C while a hub starts: they raise exceptions, but not during work that must be whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def ending_signals_raise() -> Iterator[None]:
    """Make SIGTERM raise SystemExit, and SIGINT KeyboardInterrupt, so that `with` blocks unwind.

    Main thread only. For use before `Supervisor.run_until_signalled`, for example while a broker starts.

    Python leaves SIGINT ignored in a process that inherited it so, as shells start background commands:
    without this block a Ctrl-C during the start would be lost, and one after it would stop the hub.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, leave),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Delay SIGTERM and Ctrl-C until the end of the block, for short work that must not be interrupted.

    An exception that a signal raises inside a library's clean-up, or in a hook that Python runs at a fork, is
    logged there with a traceback, or lost.

    Does nothing outside the main thread, in which alone Python handles signals. Blocking them would not do:
    another thread would receive them, and children would inherit the mask.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, frame: received.append(number)) for number in ENDING
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(received):
            signal.raise_signal(late)
