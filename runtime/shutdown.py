"""Ends a process within a bound, whatever it is doing.

Python runs a signal's handler between two bytecodes of the main thread, and eventlet's hub notices
what the handler did when its next timer or socket is due. So a process that waits in C, or sleeps in
the hub, may not stop for a long time. Here the interpreter's C handler writes the signal to a pipe
(`signal.set_wakeup_fd`). A real thread reads it, arms the watchdog, and wakes the hub through a second
pipe. The watchdog (`faulthandler`) is a thread in C: it ends the process with status 1 and the stacks of
its threads on stderr (files, lines and names of functions, no values), even when no Python can run.
"""

from __future__ import annotations

import faulthandler
import signal
from types import FrameType
from typing import Final

from eventlet import hubs, patcher

BOUND_SECONDS: Final = 8.0

# The thread must block for real: a patched read would give it a hub of its own.
_os = patcher.original("os")
_threading = patcher.original("threading")


class StopRequest:
    """Waits for SIGTERM or SIGINT, and from that moment bounds the life of the process."""

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
        """Return when the process has been asked to stop. For one greenlet; others go on."""
        hubs.trampoline(self._woken, read=True)

    def arm(self) -> None:
        """Bound the life of a process that stops for a reason of its own."""
        faulthandler.dump_traceback_later(self._bound, exit=True)

    def _watch(self, signalled: int) -> None:
        _os.read(signalled, 1)
        self.arm()
        _os.write(self._hub_pipe, b"!")


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Without a handler in Python the C handler, which writes to the pipe, is not installed."""
