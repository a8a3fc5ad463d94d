"""The floods of one partner: programs that ask again at once, whatever the hub answers.

An attack runs in a process of its own, on a processor of its own if there are two: on a network it would have
a machine of its own. It continues until it is killed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import aio_pika

from benchmarks.keepalive import Endpoint, Link
from services.gateway.domain.partner import exchange_of

# The lowest priority, where the attack shares a processor.
_NICENESS: Final = 19
_BROKEN: Final = (OSError, asyncio.IncompleteReadError)
# Seconds between two attempts to reopen a connection that the hub has closed.
_PAUSE: Final = 0.01
# Messages that wait for the broker's confirm at one time.
_UNCONFIRMED: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """The same request, repeated by each of the clients as soon as it is answered."""

    door: Endpoint
    token: str
    method: str
    path: str
    clients: int
    body: bytes = b""

    async def run(self) -> None:
        """Send until the process ends."""

        async def client() -> None:
            link = Link(self.door, self.token)
            while True:
                try:
                    await link.ask(self.method, self.path, self.body)
                except _BROKEN:
                    await asyncio.sleep(_PAUSE)

        await asyncio.gather(*(client() for _ in range(self.clients)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Drips:
    """Connections that send `start` and then a byte a second. Opened again when the hub closes them.

    start: empty for idle connections, which send nothing.
    """

    door: Endpoint
    start: bytes
    clients: int

    async def run(self) -> None:
        """Send until the process ends."""

        async def client() -> None:
            while True:
                with suppress(*_BROKEN):
                    reader, writer = await asyncio.open_connection(self.door.host, self.door.port)
                    try:
                        await self._drip(reader, writer)
                    finally:
                        writer.close()
                await asyncio.sleep(_PAUSE)

        await asyncio.gather(*(client() for _ in range(self.clients)))

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.start)
        answered = asyncio.create_task(reader.read(1))
        try:
            while not answered.done():
                await asyncio.wait([answered], timeout=1)
                if self.start:
                    writer.write(b"x")
        finally:
            answered.cancel()


@dataclass(frozen=True, kw_only=True, slots=True)
class Messages:
    """One submission over AMQP, published under new ids as fast as the broker confirms it."""

    amqp_uri: str
    organization: str
    body: bytes

    async def run(self) -> None:
        """Publish until the process ends."""
        while True:
            # The broker ends the connection of a process that was stopped for long.
            with suppress(aio_pika.exceptions.AMQPError, OSError):
                await self._publish()
            await asyncio.sleep(_PAUSE)

    async def _publish(self) -> None:
        async with await aio_pika.connect(self.amqp_uri) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(exchange_of(self.organization), ensure=False)

            async def publisher(first: int) -> None:
                number = first
                while True:
                    message = aio_pika.Message(
                        self.body,
                        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                        message_id=f"flood-{number}",
                        user_id=self.organization,
                    )
                    # The broker refuses what the full queue cannot take.
                    with suppress(aio_pika.exceptions.DeliveryError):
                        await exchange.publish(message, routing_key=self.organization)
                    number += _UNCONFIRMED

            first = time.time_ns()  # a new one for each connection, so that no message is a repetition
            await asyncio.gather(*(publisher(first + number) for number in range(_UNCONFIRMED)))


Attack = Requests | Drips | Messages


class Running:
    """An attack in its process. Stopped, it sends nothing, and its connections stay open."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def stop(self) -> None:
        """Let it send nothing for a while."""
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it continue."""
        os.kill(self._pid, signal.SIGCONT)


@contextmanager
def reserved_processor() -> Iterator[int | None]:
    """Keep one processor for attacks: this process, and those that it starts in the block, use the others.

    Yields its number, None if this process may use one only.
    """
    all_of_them = os.sched_getaffinity(0)
    reserved = max(all_of_them) if len(all_of_them) > 1 else None
    os.sched_setaffinity(0, all_of_them - {reserved})
    try:
        yield reserved
    finally:
        os.sched_setaffinity(0, all_of_them)


@contextmanager
def running(attack: Attack, processor: int | None) -> Iterator[Running]:
    """Run the attack, on this processor alone if it is given; end it with the block."""
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(attack.run, processor), daemon=True
    )
    process.start()
    try:
        assert process.pid is not None
        yield Running(process.pid)
    finally:
        process.kill()
        process.join()


def _run(attack: Callable[[], Awaitable[None]], processor: int | None) -> None:
    os.nice(_NICENESS)
    if processor is not None:
        os.sched_setaffinity(0, {processor})

    async def run() -> None:
        await attack()

    asyncio.run(run())
