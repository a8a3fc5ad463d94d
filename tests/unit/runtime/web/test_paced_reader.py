"""Looks at a peer that sends a few bytes at a time."""

from __future__ import annotations

import io
from typing import Any

import pytest

from runtime.web.paced_reader import FREE_LOOKS, PacedReader

REQUEST_SECONDS = 30.0


class Peer(io.RawIOBase):
    """A raw stream whose peer sends `rate` bytes a second, and which gathers them during a pause."""

    def __init__(self, rate: float, most: int = 2**20) -> None:
        self.now = 0.0
        self.looks = 0
        self.taken = 0
        self.rate = rate
        self.most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self.looks += 1
        arrived = min(self.most, int(self.now * self.rate)) - self.taken
        if arrived == 0:  # wait for the next byte
            self.now += 1 / self.rate
            arrived = 1
        size = min(arrived, len(buffer))
        buffer[:size] = b"x" * size
        self.taken += size
        return size

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def looks(rate: float, *, draw: float = 1.0) -> int:
    """Return how often a peer is looked at in the time that a head or a first segment may take."""
    peer = Peer(rate)
    reader = PacedReader(peer, sleep=peer.sleep, draw=lambda: draw)
    while peer.now < REQUEST_SECONDS:
        reader.readinto(bytearray(8192))
    return peer.looks


@pytest.mark.parametrize("rate", [1, 10, 100])
@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_dripping_peer_is_looked_at_rarely_however_fast_it_drips(rate: float, draw: float) -> None:
    assert looks(rate, draw=draw) <= FREE_LOOKS + 6 + 2 * REQUEST_SECONDS / 2


def test_request_in_a_few_pieces_is_read_without_a_pause() -> None:
    peer = Peer(1)
    reader = PacedReader(peer, sleep=lambda _: pytest.fail("paused"))
    for _ in range(3):
        for _ in range(FREE_LOOKS):
            reader.readinto(bytearray(64))
        reader.begin()


def test_fast_peer_is_read_without_a_pause() -> None:
    reader = PacedReader(io.BytesIO(b"x" * 2**20), sleep=lambda _: pytest.fail("paused"))
    while reader.readinto(bytearray(1460)):
        pass


def test_slow_peer_at_the_lowest_rate_is_paused_briefly() -> None:
    rate, size = 16 * 1024, 2**19
    peer = Peer(rate, most=size)
    reader = PacedReader(peer, sleep=peer.sleep)
    while peer.taken < size:
        reader.readinto(bytearray(8192))
    assert peer.now < size / rate + 0.1


def test_stream_of_the_socket_is_closed_with_it() -> None:
    raw = io.BytesIO(b"")
    PacedReader(raw).close()
    assert raw.closed


def test_rest_of_an_answered_request_is_looked_for_after_a_pause() -> None:
    pauses: list[float] = []
    reader = PacedReader(Peer(1), sleep=pauses.append, draw=lambda: 1.0)
    reader.readinto(bytearray(100))
    assert pauses == []
    reader.spend()
    reader.readinto(bytearray(100))
    assert pauses == [0.05]
    reader.begin()
    reader.readinto(bytearray(100))
    assert pauses == [0.05]
