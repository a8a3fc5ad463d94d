"""Connections that have been sent their last response: how many are kept, and for how long."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import eventlet
import pytest
from eventlet import wsgi

from runtime.web.connections import Connection
from runtime.web.last_responses import DRAINED, LastResponses

_PATIENCE = 20.0


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connected(held: ExitStack, origin: str = "127.0.0.1") -> tuple[Connection, socket.socket]:
    """Return the service's side and the peer's. origin: the address that the service's side counts for."""
    server = held.enter_context(socket.create_server(("127.0.0.1", 0)))
    peer = held.enter_context(socket.create_connection(server.getsockname()))
    accepted, _ = server.accept()
    held.callback(accepted.close)
    accepted.setblocking(False)
    peer.setblocking(False)
    return Connection([(origin, 1), accepted, wsgi.STATE_IDLE]), peer


def until_none_is_kept(last: LastResponses) -> None:
    with eventlet.Timeout(_PATIENCE):
        while len(last):
            eventlet.sleep(0.01)


def test_connection_is_closed_when_its_peer_closes(held: ExitStack) -> None:
    last = LastResponses(10)
    connection, peer = connected(held)
    connection.socket.send(b"answer")
    peer.send(b"more")
    last.add(connection)
    assert peer.recv(100) == b"answer"
    assert peer.recv(100) == b""
    peer.send(b"still more")
    peer.close()
    until_none_is_kept(last)
    assert connection.socket.fileno() == -1


def test_connection_of_a_peer_that_continues_to_send_is_closed(held: ExitStack) -> None:
    last = LastResponses(10)
    connection, peer = connected(held)
    last.add(connection)
    sent = 0
    with eventlet.Timeout(_PATIENCE), pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            try:
                sent += peer.send(bytes(64 * 1024))
            except BlockingIOError:
                eventlet.sleep(0.01)
    assert len(last) == 0
    # The bytes that were read, and those in the buffers of both sockets.
    assert sent < DRAINED + 8 * 1024 * 1024


def test_silent_peer_is_closed_after_its_time(held: ExitStack) -> None:
    last = LastResponses(10)
    last.add(connected(held)[0])
    until_none_is_kept(last)


def test_refused_connections_beyond_the_most_are_closed_at_the_address_with_most(held: ExitStack) -> None:
    last = LastResponses(3)
    other, _ = connected(held, "127.0.0.2")
    flood = [connected(held, "127.0.0.3")[0] for _ in range(5)]
    for connection in [other, *flood]:
        last.add(connection)
    assert other.socket.fileno() != -1
    assert [one.socket.fileno() == -1 for one in flood] == [True, True, True, False, False]
    last.close_all()
    assert other.socket.fileno() == -1
