"""Frames that py-amqp cannot decode arrive without what cannot be decoded."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import AMQPError
from amqp.method_framing import frame_handler
from amqp.serialization import dumps, loads

from runtime.messaging.headers import UNDECODABLE_PROPERTIES
from runtime.messaging.rabbit.tolerant_frames import UNDECODABLE, tolerant


def deliver(key: bytes) -> bytes:
    """The payload of basic.deliver, whose delivery tag is not ASCII."""
    exchange = b"kopuro.events"
    return (
        struct.pack(">HH", 60, 60)
        + bytes([3])
        + b"tag"
        + struct.pack(">Q", 2**63 + 200)
        + b"\0"
        + bytes([len(exchange)])
        + exchange
        + bytes([len(key)])
        + key
    )


def header(properties: bytes, size: int) -> bytes:
    return struct.pack(">HHQ", 60, 0, size) + properties


def table(kind: bytes, value: bytes) -> bytes:
    content = b"\x01n" + kind + value
    return b"\x20\x00" + struct.pack(">I", len(content)) + content


def nested(levels: int) -> bytes:
    """Headers of tables within tables, as a frame of 128 KiB can hold them."""
    content = b""
    for _ in range(levels):
        content = b"\x01nF" + struct.pack(">I", len(content)) + content
    return b"\x20\x00" + struct.pack(">I", len(content)) + content


CASES = {
    "tables nested 15,000 deep": nested(15_000),
    "unknown field type": table(b"Z", b""),
    "time beyond the year 9999": table(b"T", struct.pack(">Q", 2**62)),
    "truncated field": table(b"l", b"\0"),
    "message id that is not UTF-8": b"\x00\x80\x02\xff\xfe",
}


def received(properties: bytes, *, key: bytes = b"offer.opened", body: bytes = b"body") -> Any:
    """Return what arrives: the properties, the body and the arguments of the method."""
    arrived: list[Any] = []

    def callback(channel: int, method: object, arguments: bytes, message: Any) -> None:
        arrived.append((message.properties, message.body or b"", loads("sLbss", arguments, 4)[0]))

    handle = tolerant(frame_handler(SimpleNamespace(bytes_recv=0), callback))
    handle((1, 1, deliver(key)))
    handle((2, 1, header(properties, len(body))))
    if body:
        handle((3, 1, body))
    (one,) = arrived
    return one


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("body", [b"body", b""])
def test_undecodable_properties_are_replaced(name: str, body: bytes) -> None:
    properties, content, _ = received(CASES[name], body=body)
    assert properties == {"application_headers": {UNDECODABLE_PROPERTIES: "true"}}
    assert content == body


@pytest.mark.parametrize("name", CASES)
def test_case_is_one_that_the_library_refuses(name: str) -> None:
    handle = frame_handler(SimpleNamespace(bytes_recv=0), lambda *_: None)
    handle((1, 1, deliver(b"k")))
    with pytest.raises((*UNDECODABLE, AMQPError, OSError)):
        handle((2, 1, header(CASES[name], 1)))


def test_decodable_message_arrives_unchanged() -> None:
    written = b"\x20\x80" + dumps("Fs", [{"signed": "x"}, "id-1"])
    properties, body, arguments = received(written)
    assert properties == {"application_headers": {"signed": "x"}, "message_id": "id-1"}
    assert (body, arguments[-1]) == (b"body", "offer.opened")


@pytest.mark.parametrize(
    ("key", "seen"), [(b"\xff\xfe", "??"), ("офер".encode(), "офер"), (b"", ""), (b"\xd0", "?")]
)
def test_routing_key_that_is_not_utf_8_is_replaced(key: bytes, seen: str) -> None:
    _, _, (tag, delivery_tag, _, exchange, routing_key) = received(b"\0\0", key=key)
    assert (tag, delivery_tag, exchange, routing_key) == ("tag", 2**63 + 200, "kopuro.events", seen)


def test_error_of_the_callback_is_not_taken_for_one_of_the_frame() -> None:
    def callback(*_: object) -> None:
        raise ValueError("from the callback")

    handle = tolerant(frame_handler(SimpleNamespace(bytes_recv=0), callback))
    handle((1, 1, deliver(b"k")))
    with pytest.raises(ValueError, match="from the callback"):
        handle((2, 1, header(b"\0\0", 0)))
