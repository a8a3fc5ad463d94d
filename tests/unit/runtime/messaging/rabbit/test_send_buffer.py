"""The send buffer of a publishing connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import amqp
import pytest

from runtime.messaging.rabbit.connection import GATHERED_BYTES, SendBuffer


class Wire:
    """A transport that notes each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes | memoryview) -> None:
        self.writes.append(bytes(data))


@pytest.fixture
def wire() -> Wire:
    return Wire()


def connected(wire: Wire) -> Any:
    return SimpleNamespace(transport=wire, frame_max=131_072, frame_writer=None, bytes_sent=0)


def publish(link: Any, body: bytes) -> None:
    """Write the frames of one `basic.publish`."""
    link.frame_writer(1, 1, (60, 40), b"", amqp.Message(body))


def test_wave_is_one_write_with_the_same_bytes(wire: Wire) -> None:
    plain, link = connected(Wire()), connected(wire)
    SendBuffer(plain)
    with SendBuffer(link).gathering():
        for number in range(20):
            publish(link, b"%d" % number)
            publish(plain, b"%d" % number)
    assert len(plain.transport.writes) == 20
    assert wire.writes == [b"".join(plain.transport.writes)]


def test_large_wave_is_sent_in_pieces_and_a_large_message_at_once(wire: Wire) -> None:
    link = connected(wire)
    with SendBuffer(link).gathering():
        for _ in range(5):
            publish(link, bytes(GATHERED_BYTES // 2))
        assert len(wire.writes) == 2
        publish(link, bytes(4 * link.frame_max))
        assert len(wire.writes) > 2
    assert max(map(len, wire.writes)) < GATHERED_BYTES + link.frame_max


def test_frames_outside_a_wave_are_sent_at_once(wire: Wire) -> None:
    link = connected(wire)
    sending = SendBuffer(link)
    publish(link, b"one")
    assert len(wire.writes) == 1
    with sending.gathering():
        pass
    assert len(wire.writes) == 1
    publish(link, b"two")
    assert len(wire.writes) == 2


def test_wave_that_fails_sends_nothing_more(wire: Wire) -> None:
    link = connected(wire)
    sending = SendBuffer(link)
    with pytest.raises(ZeroDivisionError), sending.gathering():
        publish(link, b"never sent")
        raise ZeroDivisionError
    publish(link, b"next")
    assert len(wire.writes) == 1
    assert b"never sent" not in wire.writes[0]
