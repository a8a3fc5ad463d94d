"""Shutdown of a process within a time limit, whatever it is doing.

Python runs a signal handler between two bytecodes of the main thread, and eventlet's hub notices its effect
only when the next timer or socket is due. So a process that waits in C, or sleeps in the hub, may not stop
for a long time. Here the interpreter's C handler writes the signal to a pipe (`signal.set_wakeup_fd`). A real
thread reads it, arms the watchdog, and wakes the hub through a second pipe. The watchdog (`faulthandler`) is
a C thread. Even when no Python code can run, it ends the process with status 1 and prints its threads' stacks
to stderr (files, lines and function names, no values).
"""

from __future__ import annotations

import faulthandler
import signal
from types import FrameType
from typing import Final

from eventlet import hubs, patcher

BOUND_SECONDS: Final = 8.0

# The thread must really block: a patched read would give it its own hub.
_os = patcher.original("os")
_threading = patcher.original("threading")


class StopRequest:
    """Waits for SIGTERM or SIGINT, and then limits how long the process may still run."""

    def __init__(self, bound: float = BOUND_SECONDS) -> None:
        self._bound = bound
        signalled, self._signal_pipe = _os.pipe()
        self._woken, self._hub_pipe = _os.pipe()
        _os.set_blocking(self._signal_pipe, False)
        signal.set_wakeup_fd(self._signal_pipe, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _nothing)
        thread = _threading.Thread(target=self._watch, args=(signalled,), name="stop", daemon=True)
        thread.start()

    def wait(self) -> None:
        """Return when the process has been asked to stop. Blocks only the calling greenlet."""
        hubs.trampoline(self._woken, read=True)

    def arm(self) -> None:
        """Start the watchdog, for a process that stops without a signal."""
        faulthandler.dump_traceback_later(self._bound, exit=True)

    def _watch(self, signalled: int) -> None:
        _os.read(signalled, 1)
        self.arm()
        _os.write(self._hub_pipe, b"!")


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Python installs its C handler, which writes to the pipe, only with a Python handler."""
