"""Programs of a partner that flood its broker, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from functools import partial
from struct import pack

import amqp
from amqp.exceptions import AMQPError

from services.gateway.domain.partner import exchange_of

_BODY = b"x" * 13_000
# Header fields of three bytes as wire format (name `a`, no value), as many as fit into a frame.
_FIELDS = 43_000
_PAUSE = 0.05


def connected(host: str, organization: str, password: str) -> amqp.Connection:
    """Return an open connection."""
    link = amqp.Connection(host=host, userid=organization, password=password, virtual_host="partners")
    link.connect()
    return link


def publish_wide_headers(host: str, organization: str, password: str) -> None:
    """Publish messages of two bytes whose header tables fill a frame, some tens a second.

    The process that reads the connection passes them on at little cost; that of the channel decodes them.
    """
    link = connected(host, organization, password)
    link.channel()
    assert link.transport is not None
    fields = b"\x01aV" * _FIELDS
    publish = pack(">HHH", 60, 40, 0) + _short(exchange_of(organization)) + _short("x") + b"\0"
    header = pack(">HHQHI", 60, 0, 2, 1 << 13, len(fields)) + fields
    while True:
        for kind, payload in ((1, publish), (2, header), (3, b"{}")):
            link.transport.write(pack(">BHI", kind, 1, len(payload)) + payload + b"\xce")
        with contextlib.suppress(TimeoutError):
            link.drain_events(timeout=_PAUSE)


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def open_channels(host: str, organization: str, password: str) -> None:
    """Publish on a channel of its own each time, which is closed before the broker counts it."""
    link = connected(host, organization, password)
    while True:
        with contextlib.closing(link.channel()) as channel:
            channel.basic_publish(amqp.Message(_BODY, message_id="same"), exchange_of(organization))


def _again(flood: partial[None]) -> None:
    os.nice(19)
    while True:
        with contextlib.suppress(AMQPError, OSError):
            flood()
        time.sleep(_PAUSE)


@contextlib.contextmanager
def flooding(flood: partial[None]) -> Iterator[None]:
    """Run the flood until the block ends, again whenever the broker ends it."""
    process = multiprocessing.get_context("spawn").Process(target=_again, args=(flood,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
