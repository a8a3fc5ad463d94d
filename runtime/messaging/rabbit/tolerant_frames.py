"""Frames whose properties or routing key py-amqp cannot decode.

py-amqp raises on a text that is not UTF-8, a time beyond the year 9999, a field of an unknown type, or tables
nested too deep for its recursion. The connection is then lost, the broker delivers the message again, and
after the delivery limit it dead-letters everything that arrived with it. So such a message loses what cannot
be decoded, and arrives with its body: a consumer dead-letters it at once, and the browser of dead letters
shows its body.

Source: AMQP 0-9-1, 2.3.5 (frames), 4.2.6.1 (content header), 1.8.3.9 (basic.deliver).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from amqp.exceptions import AMQPError
from amqp.serialization import decode_properties_basic, dumps

from runtime.messaging.headers import UNDECODABLE_PROPERTIES

# Raised by py-amqp for values that Python cannot represent, and for tables nested too deep.
UNDECODABLE = (ValueError, ArithmeticError, LookupError, struct.error, RecursionError)
# The same for properties, with the error for fields that it does not know, and the system's for times.
_PROPERTY_ERRORS = (*UNDECODABLE, AMQPError, OSError)

_METHOD, _HEADER = 1, 2
_DELIVER = b"\x00\x3c\x00\x3c"  # class 60 `basic`, method 60 `deliver`
# The class, the weight and the size of the body stand before the property flags.
_BEFORE_FLAGS = 12
_ONLY_HEADERS = b"\x20\x00" + dumps("F", [{UNDECODABLE_PROPERTIES: "true"}])

Frame = tuple[int, int, bytes]


def tolerant(on_frame: Callable[[Frame], object]) -> Callable[[Frame], object]:
    """Return py-amqp's handler of frames, made to accept every property and routing key."""

    def handle(frame: Frame) -> object:
        kind, channel, payload = frame
        if kind == _METHOD and payload[:4] == _DELIVER:
            return on_frame((kind, channel, _readable_delivery(payload)))
        try:
            return on_frame(frame)
        except _PROPERTY_ERRORS:
            # A message without a body is handled within the call: the error may be of something else.
            if kind != _HEADER or _is_decodable(payload):
                raise
        return on_frame((kind, channel, payload[:_BEFORE_FLAGS] + _ONLY_HEADERS))

    return handle


def _is_decodable(payload: bytes) -> bool:
    try:
        decode_properties_basic(payload, _BEFORE_FLAGS)
    except _PROPERTY_ERRORS:
        return False
    return True


def _readable_delivery(payload: bytes) -> bytes:
    """Return the method with `?` for each byte of a routing key that is not UTF-8."""
    consumer_tag = 4
    # The delivery tag has eight bytes, the redelivered flag one.
    exchange = consumer_tag + 1 + payload[consumer_tag] + 9
    key = exchange + 1 + payload[exchange] + 1
    text = payload[key : key + payload[key - 1]]
    if text.isascii():
        return payload
    try:
        text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return payload[:key] + b"?" * len(text) + payload[key + len(text) :]
    return payload
