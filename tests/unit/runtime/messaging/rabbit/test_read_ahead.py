"""py-amqp reads the frames that have arrived with one call of the socket."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest
from amqp.transport import TCPTransport

from runtime.messaging.rabbit.connection import READ_AHEAD_BYTES, read_ahead

METHOD = 1


class CountingSocket:
    """A socket that counts its reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sendall = sock.sendall
        self.reads = 0

    def recv(self, size: int) -> bytes:
        self.reads += 1
        return self._sock.recv(size)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def transport_over(sock: CountingSocket) -> TCPTransport:
    transport = TCPTransport("broker.invalid")
    transport.sock = sock
    transport._setup_transport()
    read_ahead(transport)
    return transport


def frame(payload: bytes) -> bytes:
    return struct.pack(">BHI", METHOD, 1, len(payload)) + payload + b"\xce"


def test_frames_that_have_arrived_take_one_read(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    sock = CountingSocket(ours)
    transport = transport_over(sock)
    payloads = [b"first", b"", b"third"]
    theirs.sendall(b"".join(map(frame, payloads)))
    assert [transport.read_frame() for _ in payloads] == [(METHOD, 1, payload) for payload in payloads]
    assert sock.reads == 1
    assert not transport._read_buffer


def test_frame_larger_than_one_read_arrives_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    transport = transport_over(CountingSocket(ours))
    payload = bytes(range(256)) * (READ_AHEAD_BYTES // 128)
    theirs.sendall(frame(payload) + frame(b"next"))
    assert transport.read_frame() == (METHOD, 1, payload)
    assert transport.read_frame() == (METHOD, 1, b"next")


def test_half_a_frame_is_kept_until_the_rest_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.settimeout(0.01)
    transport = transport_over(CountingSocket(ours))
    whole = frame(b"in two parts")
    theirs.sendall(frame(b"before") + whole[:9])
    assert transport.read_frame() == (METHOD, 1, b"before")
    with pytest.raises(TimeoutError):
        transport.read_frame()
    theirs.sendall(whole[9:])
    assert transport.read_frame() == (METHOD, 1, b"in two parts")
