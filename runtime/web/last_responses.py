"""Closing of connections whose last response must not be lost (RFC 9112 §9.6).

If a connection is closed while bytes of its peer are unread, or before the last of them arrive, TCP sends a
reset. It ends the peer's next write or read with an error, and can destroy the response before it is read. So
the sending side is closed first, and bytes that still arrive are read and discarded, up to a bound.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from typing import Any, Final

from eventlet import hubs
from eventlet.greenio import GreenSocket

from runtime.telemetry.logs import describe
from runtime.web import deadlines
from runtime.web.connections import Connection

_log = logging.getLogger(__name__)

DRAINED: Final = 1024 * 1024  # bytes of one connection
PIECE: Final = 64 * 1024
_LOOK_SECONDS: Final = 0.05
_PIECES_PER_LOOK: Final = 2


def has_unread(client: GreenSocket) -> bool:
    """Return whether bytes have arrived that nobody has read. Does not block."""
    try:
        return bool(client.fd.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:  # none has arrived, or the connection is broken
        return False


class LastResponses:
    """Connections without a greenlet that have been sent their last response.

    Each is closed when its peer has closed, after LINGER_SECONDS or after DRAINED bytes, whichever is first.
    At most `most` are kept: beyond these, the oldest of the address that has most is closed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Connection -> (when it is closed, the bytes that may still be read). Oldest first.
        self._kept: dict[Connection, tuple[float, int]] = {}
        self._of_one: Counter[str] = Counter()
        self._timer: Any = None

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, connection: Connection) -> None:
        """Close the sending side of the connection now, and the rest later. Does not block."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError as fault:
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
            connection.close()
            return
        self._kept[connection] = (time.monotonic() + deadlines.LINGER_SECONDS, DRAINED)
        self._of_one[connection.origin] += 1
        if len(self._kept) > self._most:
            ((most, _),) = self._of_one.most_common(1)
            self._close(next(one for one in self._kept if one.origin == most))
        if self._kept and self._timer is None:
            self._timer = hubs.get_hub().schedule_call_global(_LOOK_SECONDS, self._look)

    def close_all(self) -> None:
        """Close all of them now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self._kept):
            self._close(connection)

    def _look(self) -> None:
        """Read what has arrived on each. Runs in the event loop: it must not block."""
        self._timer = None
        for connection, (due, left) in list(self._kept.items()):
            left = _drained(connection, left)
            if left <= 0 or due <= time.monotonic():
                self._close(connection)
            else:
                self._kept[connection] = (due, left)
        if self._kept:
            self._timer = hubs.get_hub().schedule_call_global(_LOOK_SECONDS, self._look)

    def _close(self, connection: Connection) -> None:
        del self._kept[connection]
        self._of_one[connection.origin] -= 1
        if not self._of_one[connection.origin]:
            del self._of_one[connection.origin]
        connection.close()


def _drained(connection: Connection, left: int) -> int:
    """Read what has arrived, two pieces at most; return how many bytes may still be read, 0 at the end."""
    for _ in range(_PIECES_PER_LOOK):
        try:
            piece = connection.socket.recv(min(PIECE, left))
        except BlockingIOError:
            return left
        except OSError:
            return 0
        left -= len(piece)
        if not piece or left <= 0:
            return 0
    return left
