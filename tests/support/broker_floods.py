"""Programs of a partner that flood its broker, each in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from functools import partial

import amqp
from amqp.exceptions import AMQPError

from services.gateway.domain.partner import exchange_of

_BODY = b"x" * 13_000
_PAUSE = 0.05


def connected(host: str, organization: str, password: str) -> amqp.Connection:
    """Return an open connection."""
    link = amqp.Connection(host=host, userid=organization, password=password, virtual_host="partners")
    link.connect()
    return link


def publish(host: str, organization: str, password: str) -> None:
    """Publish what the queue, full soon, refuses; without confirms, so that nothing slows it down."""
    channel = connected(host, organization, password).channel()
    while True:
        channel.basic_publish(amqp.Message(_BODY, message_id="same"), exchange_of(organization))


def open_channels(host: str, organization: str, password: str) -> None:
    """Publish on a channel of its own each time, which is closed before the broker counts it."""
    link = connected(host, organization, password)
    while True:
        with contextlib.closing(link.channel()) as channel:
            channel.basic_publish(amqp.Message(_BODY, message_id="same"), exchange_of(organization))


def _again(flood: partial[None]) -> None:
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
