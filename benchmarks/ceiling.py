"""The bare broker: the deliveries of our hub's closed loops, by plain py-amqp, pipelined.

The messages of some real loops are recorded. Then their events are published repeatedly, each as its own
message, in a virtual host with the same exchanges, queues and bindings: same number, sizes, routing keys and
headers, persistent, mandatory and confirmed. They are consumed from every queue and acknowledged in groups.
Nothing is parsed, decided or stored, so the result is the capacity of the broker alone.
"""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue as ProcessQueue
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import amqp

from contracts.envelope import Envelope
from contracts.topology import PARTITION_HEADER, hub_topology, partition_of
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.rabbit.broker import RabbitBroker
from sandbox.broker import PrivateBroker

IN_FLIGHT = 2000
PREFETCH = 500
ACK_EVERY = 100
# All messages count as consumed after this long without one.
SILENCE_SECONDS = 1.0
_TRACE = "amq.rabbitmq.trace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """A message as the broker sees it. size: bytes of the body."""

    exchange: str
    routing_key: str
    partition_key: str
    size: int


class DeliveryListener:
    """Records everything that is published in a virtual host (a context manager).

    It uses RabbitMQ's own tracing, which includes messages to the default exchange.
    Source: https://www.rabbitmq.com/docs/firehose.
    """

    def __init__(self, broker: PrivateBroker, vhost: str) -> None:
        self._broker, self._vhost = broker, vhost

    def __enter__(self) -> Self:
        self._connection = connect(self._broker.identity.uri(self._vhost))
        self._channel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).queue
        self._channel.queue_bind(self._queue, _TRACE, "publish.#")
        self._broker.evaluate(f'rabbit_trace:start(<<"{self._vhost}">>)')
        return self

    def __exit__(self, *_: object) -> None:
        self._broker.evaluate(f'rabbit_trace:stop(<<"{self._vhost}">>)')
        self._connection.close()

    def heard(self) -> list[Publication]:
        """Return the messages since the last call, after a second without new ones."""
        found: list[Publication] = []
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < SILENCE_SECONDS:
            message = self._channel.basic_get(self._queue, no_ack=True)
            if message is None:
                time.sleep(0.05)
                continue
            quiet_since = time.monotonic()
            traced = message.headers
            body = message.body if isinstance(message.body, bytes) else message.body.encode()
            found.extend(
                Publication(
                    exchange=traced["exchange_name"],
                    routing_key=traced["routing_keys"][0],
                    partition_key=Envelope.decode(event).partition_key,
                    size=len(event),
                )
                for event in decode_batch(body)
            )
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class CeilingResult:
    """rate: closed loops a second's worth of deliveries."""

    rate: float
    messages_a_loop: float
    deliveries_a_loop: float


def measure_ceiling(
    amqp_uri: str, shape: Sequence[Publication], *, loops: int, repeat: int, pairs: int
) -> CeilingResult:
    """Publish the messages of `loops` loops `repeat` times with `pairs` publishers and as many consumers.

    The time runs from the first publish to the last delivery consumed.
    """
    RabbitBroker(amqp_uri).declare(hub_topology())
    context = multiprocessing.get_context("spawn")
    results: ProcessQueue[tuple[str, float, float, int]] = context.Queue()
    stop, begin = context.Event(), context.Event()
    queues = [queue.name for queue in hub_topology().queues]
    consumers = [
        context.Process(target=_consume, args=(amqp_uri, queues[n::pairs], stop, results))
        for n in range(pairs)
    ]
    publishers = [
        context.Process(target=_publish, args=(amqp_uri, list(shape), repeat // pairs, begin, results))
        for _ in range(pairs)
    ]
    for process in (*consumers, *publishers):
        process.start()
    for _ in (*consumers, *publishers):
        results.get(timeout=60)  # every process is connected
    begin.set()
    published = [results.get(timeout=300) for _ in publishers]
    stop.set()
    consumed = [results.get(timeout=300) for _ in consumers]
    for process in (*consumers, *publishers):
        process.join(30)
    seconds = max(last for _, _, last, _ in (*published, *consumed)) - min(
        first for _, first, _, _ in published
    )
    total = loops * (repeat // pairs) * pairs
    return CeilingResult(
        rate=total / seconds,
        messages_a_loop=len(shape) / loops,
        deliveries_a_loop=sum(count for _, _, _, count in consumed) / total,
    )


def connect(amqp_uri: str) -> amqp.Connection:
    """Open a connection. Raises OSError, amqp.AMQPError."""
    parts = urlsplit(amqp_uri)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port}",
        userid=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        virtual_host=unquote(parts.path[1:]),
    )
    connection.connect()
    # Otherwise py-amqp checks for `connection.blocked` before each publish: one system call per message.
    connection.client_properties["capabilities"]["connection.blocked"] = False
    return connection


def _publish(amqp_uri: str, shape: Sequence[Publication], repeat: int, begin: Any, results: Any) -> None:
    connection = connect(amqp_uri)
    channel = connection.channel()
    channel.confirm_select()
    # Keyed by number: RabbitMQ confirms singly and in groups, and not always in order.
    outstanding: OrderedDict[int, None] = OrderedDict()

    def acked(tag: int, multiple: bool) -> None:
        if not multiple:
            outstanding.pop(tag, None)
            return
        while outstanding and next(iter(outstanding)) <= tag:
            outstanding.popitem(last=False)

    channel.events["basic_ack"].add(acked)
    bodies = {publication.size: b"x" * publication.size for publication in shape}
    results.put(("ready", 0.0, 0.0, 0))
    begin.wait()
    first, published = time.monotonic(), 0
    for _ in range(repeat):
        keys = {publication.partition_key: str(uuid.uuid4()) for publication in shape}
        for publication in shape:
            key = keys[publication.partition_key]
            message = amqp.Message(
                bodies[publication.size],
                delivery_mode=2,
                message_id=key,
                application_headers={"partitionkey": key, PARTITION_HEADER: str(partition_of(key))},
            )
            channel.basic_publish(message, publication.exchange, publication.routing_key, mandatory=True)
            published += 1
            outstanding[published] = None
            while len(outstanding) > IN_FLIGHT:
                connection.drain_events(timeout=30)
    while outstanding:
        connection.drain_events(timeout=30)
    results.put(("published", first, time.monotonic(), published))
    connection.close()


def _consume(amqp_uri: str, queues: Sequence[str], stop: Any, results: Any) -> None:
    connection = connect(amqp_uri)
    count, last = 0, time.monotonic()
    unacknowledged: dict[Any, int] = {}
    tags: dict[Any, int] = {}

    def arrived(message: amqp.Message) -> None:
        nonlocal count, last
        count, last = count + 1, time.monotonic()
        unacknowledged[message.channel] = unacknowledged.get(message.channel, 0) + 1
        tags[message.channel] = message.delivery_tag
        if unacknowledged[message.channel] >= ACK_EVERY:
            message.channel.basic_ack(message.delivery_tag, multiple=True)
            unacknowledged[message.channel] = 0

    channels = []
    for name in queues:
        channel = connection.channel()
        channel.basic_qos(0, PREFETCH, False)
        channel.basic_consume(name, callback=arrived)
        channels.append(channel)
    results.put(("ready", 0.0, 0.0, 0))
    while not stop.is_set() or time.monotonic() - last < SILENCE_SECONDS:
        try:
            connection.drain_events(timeout=0.05)
        except TimeoutError:
            for channel in channels:
                if unacknowledged.get(channel):
                    # The number is given: 0 would also acknowledge messages that are still in transit.
                    channel.basic_ack(tags[channel], multiple=True)
                    unacknowledged[channel] = 0
    results.put(("consumed", 0.0, last, count))
    connection.close()
