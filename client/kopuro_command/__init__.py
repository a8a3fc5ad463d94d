"""The program `kopuro`: it ends at once if it is interrupted while it imports.

Python drops an exception that is raised in a weak reference's callback, and each import runs some: one of
three hundred interrupts during the imports was lost, and the command ran on. This package is not part of
`kopuro_client`, because importing any module of that imports most of it.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_STATUS = 130
_TEXT = b"kopuro: interrupted\n"
_JSON = (
    b'{"type": "urn:kopuro:command:interrupted", "title": "Interrupted", "detail": "interrupted", '
    b'"exit_status": 130}\n'
)


def main() -> int:
    """Import and run the command. Return its exit status, 130 after an interrupt."""
    # Python leaves SIGINT ignored if it inherited it so.
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if listens:
        signal.signal(signal.SIGINT, _leave)
    from kopuro_client import commands

    if listens:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return commands.main()


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process. Nothing has been started that would have to end first."""
    try:
        os.write(2, _JSON if "--json" in sys.argv else _TEXT)
    finally:
        os._exit(_STATUS)
