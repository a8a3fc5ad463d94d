"""Ctrl-C that Python dropped: the command is interrupted again a moment later."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Final

# s. Python is then outside the call that dropped the exception, or drops it again.
_MOMENT: Final = 0.001


def repeat_dropped_interrupts() -> None:
    """Make each interrupt end the command, also one that arrives in a finaliser. Main thread only.

    Python prints and drops what is raised in `__del__` and in a weak reference's callback. A dropped
    KeyboardInterrupt is not printed, and SIGINT is raised again for the handler that it has by then.
    """
    if not hasattr(signal, "setitimer"):
        return  # Windows has no timers of signals
    unraisable = sys.unraisablehook

    def hook(dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)
        else:
            unraisable(dropped)

    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = hook


def ignore_repeated_interrupts() -> None:
    """Let no repetition arrive while Python ends: it would restore SIGALRM's action, which ends a process."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)
