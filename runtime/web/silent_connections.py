"""The connections that have not sent a byte yet. None of them has a greenlet.

A greenlet with its timers costs ten times the memory and the time of what is kept here, so that a peer which
only opens connections costs little.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Any, Final

import eventlet
from eventlet import hubs
from eventlet.event import Event

from runtime.telemetry.logs import describe
from runtime.turn import Turn
from runtime.web import deadlines
from runtime.web.connections import Connection

_log = logging.getLogger(__name__)

# Between two looks while a connection is due: those that are due soon after each other are closed together.
_LOOK_SECONDS: Final = 0.25


class SilentConnections:
    """Watches connections until their first byte.

    speaks: called with a connection that has sent something; closed: with one that the peer, its deadline or
    `Connection.end` has closed. Both run in the event loop itself and must not block.
    """

    def __init__(self, speaks: Callable[[Connection], None], closed: Callable[[Connection], None]) -> None:
        self._speaks = speaks
        self._closed = closed
        # Connection -> (its listener in the event loop, when it is closed). Oldest first.
        self._watched: dict[Connection, tuple[Any, float]] = {}
        self._some_are_watched = Event()

    def watch(self, connection: Connection) -> None:
        """Watch a connection for the time that a head may take."""
        due = time.monotonic() + deadlines.HEAD_SECONDS
        listener = hubs.get_hub().add(
            hubs.get_hub().READ,
            connection.socket.fileno(),
            lambda _: self._look(connection),
            lambda *_: self._close(connection),
            lambda: None,
        )
        self._watched[connection] = (listener, due)
        if not self._some_are_watched.ready():
            self._some_are_watched.send()
        connection.leave = lambda: self._close(connection)

    def close_due_for_ever(self) -> None:
        """Close each connection at its deadline. Never returns."""
        while True:
            if not self._watched:
                if self._some_are_watched.ready():
                    self._some_are_watched.reset()
                self._some_are_watched.wait()
            eventlet.sleep(self.seconds_to_next(time.monotonic()))
            self._close_due()

    def seconds_to_next(self, now: float) -> float:
        """Return how long none of the connections has to be closed; _LOOK_SECONDS at the least.

        Each has the same time, so one that is watched meanwhile is due later than all of these.
        """
        _, due = next(iter(self._watched.values()), (None, now))
        return max(_LOOK_SECONDS, due - now)

    def _close_due(self) -> None:
        """Close those that are due, and let others run: thousands may have been opened together."""
        turn = Turn()
        while self._watched:
            oldest, (_, due) = next(iter(self._watched.items()))
            if due > time.monotonic():
                return
            self._close(oldest)
            turn.end_if_over()

    def _look(self, connection: Connection) -> None:
        """Hand over a connection that has sent something, and close one that the peer has closed.

        The event loop gathers what it calls before it calls the first: another call may have closed this
        connection since, and its descriptor may belong to a new one.
        """
        if connection not in self._watched:
            return
        state = first_byte(connection)
        if state is None:
            return
        if not state:
            self._close(connection)
            return
        self._forget(connection)
        self._speaks(connection)

    def _close(self, connection: Connection) -> None:
        if connection not in self._watched:  # see `_look`
            return
        self._forget(connection)
        try:
            connection.socket.shutdown(socket.SHUT_RDWR)
        except OSError as fault:
            _log.debug("connection broken by the client", extra={"cause": describe(fault)})
        connection.close()
        self._closed(connection)

    def _forget(self, connection: Connection) -> None:
        connection.leave = None
        listener, _ = self._watched.pop(connection)
        hubs.get_hub().remove(listener)


def first_byte(connection: Connection) -> bytes | None:
    """Return the first byte that was received, none if the peer has closed; None if nothing has arrived."""
    try:
        found: bytes = connection.socket.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
    return found
