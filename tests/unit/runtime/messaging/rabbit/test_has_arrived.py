"""The check for bytes that can be read without waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.messaging.rabbit.connection import has_arrived


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def linked(sock: Any, *, read_ahead: bytes = b"") -> Any:
    return SimpleNamespace(sock=sock, transport=SimpleNamespace(_read_buffer=read_ahead))


def test_sent_bytes_count_as_arrived_until_they_are_read(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    link = linked(ours)
    assert not has_arrived(link)
    theirs.send(b"frame")
    assert has_arrived(link)
    ours.recv(100)
    assert not has_arrived(link)


def test_closed_connection_counts_as_arrived_so_that_the_read_reports_it(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.close()
    assert has_arrived(linked(ours))


def test_bytes_that_a_library_read_ahead_have_arrived(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    assert has_arrived(linked(ours, read_ahead=b"half a frame"))
    over_tls = SimpleNamespace(fileno=ours.fileno, pending=lambda: 5)
    assert has_arrived(linked(over_tls))
