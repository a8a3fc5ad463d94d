"""Connections that have not sent a byte, also if the event loop still calls back after their end."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from eventlet import wsgi

from runtime.web import silent_connections
from runtime.web.connections import Connection
from runtime.web.deadlines import HEAD_SECONDS
from runtime.web.silent_connections import SilentConnections


class Watched:
    """A connection that is watched. spoken, closed: how often it was handed over, and closed."""

    def __init__(self) -> None:
        self.spoken = self.closed = 0
        self.peer, ours = socket.socketpair()
        ours.setblocking(False)
        self.connection = Connection([("192.0.2.1", 1), ours, wsgi.STATE_IDLE])
        self.silent = SilentConnections(self._speak, self._close)
        self.silent.watch(self.connection)
        (self.listener, _) = self.silent._watched[self.connection]

    def _speak(self, _: Connection) -> None:
        self.spoken += 1

    def _close(self, _: Connection) -> None:
        self.closed += 1


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.peer.close()
    made.connection.close()


def test_connection_is_handed_over_at_its_first_byte(watched: Watched) -> None:
    watched.peer.send(b"G")
    watched.listener.cb(0)
    assert (watched.spoken, watched.closed) == (1, 0)


def test_event_of_a_connection_that_was_closed_in_the_same_round_is_ignored(watched: Watched) -> None:
    watched.peer.send(b"G")
    assert watched.connection.leave is not None
    watched.connection.leave()
    watched.listener.cb(0)
    watched.listener.tb(None)
    assert (watched.spoken, watched.closed) == (0, 1)


def test_event_of_a_connection_that_was_handed_over_is_ignored(watched: Watched) -> None:
    watched.peer.send(b"G")
    watched.listener.cb(0)
    watched.listener.cb(0)
    watched.listener.tb(None)
    assert (watched.spoken, watched.closed) == (1, 0)


def test_nothing_is_looked_at_before_the_oldest_connection_is_due(watched: Watched) -> None:
    (_, due) = watched.silent._watched[watched.connection]
    assert watched.silent.seconds_to_next(due - HEAD_SECONDS) == pytest.approx(HEAD_SECONDS)
    # Those that are due soon after each other are closed together.
    assert watched.silent.seconds_to_next(due) == silent_connections._LOOK_SECONDS
    assert watched.silent.seconds_to_next(due + 1) == silent_connections._LOOK_SECONDS
