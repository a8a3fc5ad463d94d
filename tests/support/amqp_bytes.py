"""Bytes of AMQP 0-9-1: every method and frame, whole and damaged, for attacks that no client library sends.

Source: AMQP 0-9-1 (sections 2.3.5 and 4.2) with RabbitMQ's extensions: `amqp0-9-1.extended.xml`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import groupby
from typing import Final

PROTOCOL_HEADER: Final = b"AMQP\0\0\x09\x01"
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END: Final = b"\xce"

# Each method's class, id and arguments: o octet, B short, L long, Q long long, s short string, S long string,
# F table, b bit. Those that only a server sends are here too: a client may send them nevertheless.
METHODS: Final[tuple[tuple[int, int, str], ...]] = tuple(
    (class_id, int(number), arguments.strip("-"))
    for class_id, methods in (
        (10, "10 ooFSS,11 FsSs,20 S,21 S,30 BLB,31 BLB,40 ssb,41 s,50 BsBB,51 -,60 s,61 -,70 Ss,71 -"),
        (20, "10 s,11 S,20 b,21 b,40 BsBB,41 -"),
        (30, "10 sbbbbb,11 B"),
        (40, "10 BssbbbbbF,11 -,20 Bsbb,21 -,30 BsssbF,31 -,40 BsssbF,51 -"),
        (50, "10 BsbbbbbF,11 sLL,20 BsssbF,21 -,30 Bsb,31 L,40 Bsbbb,41 L,50 BsssF,51 -"),
        (60, "10 LBb,11 -,20 BssbbbbF,21 s,30 sb,31 s,40 Bssbb,50 Bsss,60 sQbss,70 Bsb,71 QbssL,72 s"),
        (60, "80 Qb,90 Qb,100 b,110 b,111 -,120 Qbb"),
        (85, "10 b,11 -"),
        (90, "10 -,11 -,20 -,21 -,30 -,31 -"),
    )
    for number, arguments in (method.split() for method in methods.split(","))
)
BASIC_PUBLISH: Final = (60, 40)
# The properties of a message, from the flag 0x8000 down.
PROPERTIES: Final = "ssFoossssQssss"

_NUMBERS: Final = {"o": 1, "B": 2, "L": 4, "Q": 8}
# The types of a table's values: the number of bytes of a fixed one, 0 for one with a length before it.
_VALUES: Final = {
    **dict.fromkeys("tbB", 1),
    **dict.fromkeys("su", 2),
    **dict.fromkeys("Iif", 4),
    "D": 5,
    **dict.fromkeys("ldTL", 8),
    "V": 0,
}


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def long(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def frame(kind: int, payload: bytes, *, channel: int = 0, end: bytes = END) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


def table(canary: bytes) -> bytes:
    """Return a table with a value of every type. Each name and value is made of the canary."""
    values = [bytes([ord(kind)]) + _repeated(canary, size) for kind, size in _VALUES.items()]
    values += [kind + long(canary) for kind in (b"S", b"x")]
    values += [b"F" + long(short(canary) + b"S" + long(canary)), b"A" + long(b"S" + long(canary))]
    return b"".join(short(b"%s%d" % (canary, number)) + value for number, value in enumerate(values))


def arguments(layout: str, canary: bytes, *, bits: int = 0, unknown: bool = False) -> bytes:
    """Return the arguments of a method, or the properties of a message.

    bits: of each octet of bits. unknown: tables have a value of the type `?`, which does not exist.
    """
    found = b""
    for kind, group in groupby(layout):
        count = len(list(group))
        if kind == "b":
            found += bytes([bits])
        elif kind == "s":
            found += short(canary) * count
        elif kind == "S":
            found += long(canary) * count
        elif kind == "F":
            found += long(short(canary) + b"?" + canary if unknown else table(canary)) * count
        else:
            found += _repeated(canary, _NUMBERS[kind]) * count
    return found


def method(class_id: int, number: int, payload: bytes = b"", *, channel: int = 0) -> bytes:
    return frame(METHOD, struct.pack(">HH", class_id, number) + payload, channel=channel)


def damaged_methods(canary: bytes, channel: int) -> Iterator[bytes]:
    """Yield every method whole, and with each kind of damage that its arguments permit."""
    for class_id, number, layout in METHODS:
        head = struct.pack(">HH", class_id, number)
        whole = arguments(layout, canary)
        yield frame(METHOD, head + whole, channel=channel)
        yield frame(METHOD, head + whole + canary, channel=channel)
        if layout:
            yield frame(METHOD, head + whole[: -len(whole) // 2], channel=channel)
            # Every field with a length is longer than the frame.
            yield frame(METHOD, head + b"\xff" * 12 + canary, channel=channel)
        if "b" in layout:
            yield frame(METHOD, head + arguments(layout, canary, bits=0xFF), channel=channel)
        if "F" in layout:
            yield frame(METHOD, head + arguments(layout, canary, unknown=True), channel=channel)


def damaged_frames(canary: bytes, channel: int) -> Iterator[bytes]:
    """Yield frames of every type, with each kind of damage to the frame itself."""
    for kind in (0, METHOD, HEADER, BODY, 4, HEARTBEAT, 0xFF):
        yield frame(kind, canary, channel=channel)
        yield frame(kind, canary, channel=channel, end=b"X")
        yield frame(kind, canary * 20_000, channel=channel)
        yield struct.pack(">BHI", kind, channel, 0xFFFFFFFF) + canary
    yield canary


def damaged_contents(canary: bytes, channel: int) -> Iterator[bytes]:
    """Yield messages with each kind of damage to the header, its properties or the body."""
    where = b"\0\0" + short(b"amq.direct") + short(canary) + b"\x01"
    publish = method(*BASIC_PUBLISH, where, channel=channel)

    def message(properties: bytes, *, size: int | None = None, class_id: int = 60, weight: int = 0) -> bytes:
        length = len(canary) if size is None else size
        head = struct.pack(">HHQ", class_id, weight, length) + properties
        return publish + frame(HEADER, head, channel=channel) + frame(BODY, canary, channel=channel)

    every = b"\xff\xfc" + arguments(PROPERTIES, canary)
    yield message(every)
    yield message(b"\xff\xec" + arguments(PROPERTIES[:-1], canary))  # without `user-id`, which is refused
    yield message(b"\xff\xfc" + arguments(PROPERTIES, canary, unknown=True))
    for flags in (b"\x80\0", b"\xff\xff", b"\x20\0", b"\0\1", b"\0\2"):
        yield message(flags)
        yield message(flags + canary)
    yield message(b"\xff\xfc" + b"\xff" * 40 + canary)
    yield message(every[: len(every) // 2])
    yield message(every + canary)
    yield message(canary)
    for size in (0, 1, 2**22 + 1, 2**63, 2**64 - 1):
        yield message(every, size=size)
    yield message(every, class_id=50)
    yield message(every, weight=1)
    yield publish + frame(BODY, canary, channel=channel)
    yield publish + frame(HEADER, canary, channel=channel)
    yield publish + publish
    yield publish + frame(HEARTBEAT, b"", channel=0) + frame(HEARTBEAT, canary, channel=channel)
    yield frame(HEADER, struct.pack(">HHQ", 60, 0, len(canary)) + every, channel=channel)
    yield frame(BODY, canary, channel=channel)


def _repeated(canary: bytes, size: int) -> bytes:
    return (canary * (size // len(canary) + 1))[:size]
