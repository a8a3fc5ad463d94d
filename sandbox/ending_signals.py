"""SIGTERM and Ctrl-C while a hub starts: they raise exceptions, but not during work that must be whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGINT)
# Received inside `ending_signals_raise`. Signals belong to the whole process, and so does this.
_received: list[int] = []


@contextlib.contextmanager
def ending_signals_raise() -> Iterator[None]:
    """Make SIGTERM raise SystemExit, and SIGINT KeyboardInterrupt, so that `with` blocks unwind.

    Main thread only. For use before `Supervisor.run_until_signalled`, for example while a broker starts.

    Shells start background commands with SIGINT ignored, and Python leaves it ignored in such a process.
    Without this block a Ctrl-C during the start would be lost, and one after it would stop the hub.

    Python drops an exception that is raised in a call of its own, such as a weak reference's callback at an
    import. Call `raise_lost_signal` between the steps of the block.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        _received.append(number)
        _raise(number)

    previous = {number: signal.signal(number, leave) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _received.clear()


def raise_lost_signal() -> None:
    """Raise the exception of a signal that arrived in the block around, if Python dropped it."""
    if _received:
        _raise(_received[0])


def _raise(number: int) -> NoReturn:
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


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
