"""Connections that break silently: the publisher, the consumer and the relay detect it in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry

from contracts.topology import DIRECT, Queue, Topology
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.relay import Relay
from runtime.messaging.ports import BrokerUnavailable, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.stalled_loops import StalledLoops
from tests.crash.crashing import until
from tests.faults.tcp_proxy import TcpProxy
from tests.messaging.consumer_harness import METADATA, TABLES, fill_outbox, opened, waiting
from tests.support.hub_keys import signer

HEARTBEAT = 2
# Two heartbeats, the interval at which we look, and a busy machine.
NOTICED_WITHIN = 2 * HEARTBEAT + HEARTBEAT / 4 + 2.0
QUEUES = Topology(
    exchanges=(),
    queues=tuple(Queue(name=name, arguments={"x-queue-type": "quorum"}) for name in ("q", "answers")),
    bindings=(),
)


def message(id_: str) -> Outgoing:
    return Outgoing(exchange=DIRECT, routing_key="q", message_id=id_, partition_key="", body=b"{}")


def seconds_until_noticed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        while time.monotonic() - started < 3 * NOTICED_WITHIN:
            work()
    return time.monotonic() - started


def test_half_open_connection_is_detected_within_two_heartbeats(
    vhost: str, proxied: str, proxy: TcpProxy
) -> None:
    RabbitBroker(vhost).declare(QUEUES)
    # Nothing but the heartbeat can end these waits.
    hub = RabbitBroker(proxied, heartbeat=HEARTBEAT, confirm_timeout=30)
    with closing(hub.publisher()) as publisher, closing(hub.consumer(["q"], 10)) as consumer:
        publisher.publish([message("1")])
        taken = consumer.take(1, 20)
        consumer.acknowledge(taken)
        proxy.forget_all()
        with ThreadPoolExecutor(2) as both:
            times = [
                both.submit(seconds_until_noticed, lambda: publisher.publish([message("2")])),
                both.submit(seconds_until_noticed, lambda: consumer.take(1, 30)),
            ]
            assert max(time.result() for time in times) < NOTICED_WITHIN
        publisher.publish([message("3")])
        # Whether the acknowledgement got through before the link went is not known: "1" may come again.
        arrived = [delivery.message_id for delivery in consumer.take(1, 20)]
        if arrived == ["1"]:
            arrived = [delivery.message_id for delivery in consumer.take(1, 20)]
        assert arrived == ["3"]


def test_idle_publisher_with_heartbeats_detects_half_open_connection(
    vhost: str, proxied: str, proxy: TcpProxy
) -> None:
    RabbitBroker(vhost).declare(QUEUES)
    with closing(RabbitBroker(proxied, heartbeat=HEARTBEAT, confirm_timeout=60).publisher()) as publisher:
        publisher.publish([message("1")])
        proxy.forget_all()
        deadline = time.monotonic() + NOTICED_WITHIN
        while time.monotonic() < deadline:
            publisher.tend()
            time.sleep(0.1)
        before = time.monotonic()
        publisher.publish([message("2")])  # on a new connection: the old one was given up meanwhile
        assert time.monotonic() - before < 1.5
        assert proxy.connections == 2


def test_missing_confirm_does_not_block_relay(
    vhost: str, proxied: str, proxy: TcpProxy, sqlite_database: str
) -> None:
    RabbitBroker(vhost).declare(QUEUES)
    registry, stalled_loops = CollectorRegistry(), StalledLoops()
    with opened(sqlite_database) as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        relay = Relay(
            database=database,
            outbox=Outbox(TABLES.outbox),
            broker=RabbitBroker(proxied, heartbeat=HEARTBEAT, confirm_timeout=1, connect_timeout=1),
            signer=signer("test"),
            metrics=MessagingMetrics(registry),
            stalled_loops=stalled_loops,
        )
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            fill_outbox(database, ["before"])
            relay.wake()
            until(lambda: waiting(database) == [], "the first message is confirmed")
            proxy.swallow.set()
            fill_outbox(database, ["m1", "m2"])
            relay.wake()
            failures = "kopuro_relay_failures_total"
            until(lambda: (registry.get_sample_value(failures) or 0) >= 1, "the relay gives the wave up")
            assert waiting(database) == ["m1", "m2"]
            until(lambda: stalled_loops.alarm() is not None, "the alarm is raised")
            assert "the confirms did not arrive in time" in (stalled_loops.alarm() or "")
            proxy.heal()
            until(lambda: waiting(database) == [], "the relay goes on by itself")
            until(lambda: stalled_loops.alarm() is None, "and nothing is left to tell")
        finally:
            relay.stop()
            thread.join(timeout=10)
    assert not thread.is_alive()
    with closing(RabbitBroker(vhost).consumer(["answers"], 100)) as consumer:
        arrived: set[str] = set()
        while deliveries := consumer.take(100, 0.5):
            arrived |= {delivery.message_id for delivery in deliveries}
    assert arrived == {"before", "m1", "m2"}
