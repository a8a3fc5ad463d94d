"""Behaviour that only RabbitMQ has: crash, restart and silence."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator

import pytest

from contracts.topology import DIRECT, Queue, Topology
from runtime.messaging.ports import BrokerUnavailable, Consumer, Delivery, Outgoing, PublishIncomplete
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.connection import BROKEN, drain
from sandbox.broker import PrivateBroker
from tests.faults.tcp_proxy import TcpProxy

QUORUM = {"x-queue-type": "quorum"}
FULL = {**QUORUM, "x-max-length": 2, "x-overflow": "reject-publish"}
TOPOLOGY = Topology(
    exchanges=(),
    queues=(Queue(name="q", arguments=QUORUM), Queue(name="full", arguments=FULL)),
    bindings=(),
)


def direct(*ids: str, queue: str = "q", body: bytes = b"{}") -> list[Outgoing]:
    return [
        Outgoing(exchange=DIRECT, routing_key=queue, message_id=id_, partition_key="", body=body)
        for id_ in ids
    ]


def take(consumer: Consumer, count: int, seconds: float = 20) -> list[Delivery]:
    taken: list[Delivery] = []
    deadline = time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < deadline:
        taken += consumer.take(count - len(taken), 0.5)
    assert len(taken) == count
    return taken


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.fixture
def own_vhost(own_broker: PrivateBroker) -> Iterator[str]:
    name = f"own-{secrets.token_hex(4)}"
    yield own_broker.add_vhost(name)
    own_broker.remove_vhost(name)


def test_confirmed_messages_survive_broker_crash_and_clients_reconnect(
    own_broker: PrivateBroker, own_vhost: str
) -> None:
    hub = RabbitBroker(own_vhost)
    hub.declare(TOPOLOGY)
    own_broker.flush_declarations()
    publisher, consumer = hub.publisher(), hub.consumer(["q"], 10)
    try:
        publisher.publish(direct("1", "2"))
        stale = take(consumer, 2)
        own_broker.kill()
        with within(5):
            with pytest.raises(PublishIncomplete) as caught:
                publisher.publish(direct("3"))
            assert caught.value.confirmed == 0
            with pytest.raises(BrokerUnavailable):
                publisher.publish(direct("3"))
            with pytest.raises(BrokerUnavailable):
                consumer.take(1, 5)
            with pytest.raises(BrokerUnavailable):
                consumer.acknowledge(stale)
            with pytest.raises(BrokerUnavailable):
                hub.declare(TOPOLOGY)
        own_broker.start()
        publisher.publish(direct("3"))
        assert sorted(d.message_id for d in take(consumer, 3)) == ["1", "2", "3"]
    finally:
        own_broker.start()
        publisher.close()
        consumer.close()


def test_messages_survive_an_orderly_restart(own_broker: PrivateBroker, own_vhost: str) -> None:
    hub = RabbitBroker(own_vhost)
    hub.declare(TOPOLOGY)
    publisher, consumer = hub.publisher(), hub.consumer(["q"], 10)
    publisher.publish(direct("1"))
    own_broker.restart()
    # The earlier connection is dead. The idle publisher notices this in `tend`.
    publisher.tend()
    publisher.publish(direct("2"))
    assert [d.message_id for d in take(consumer, 2)] == ["1", "2"]
    publisher.close()
    consumer.close()


def test_unreachable_broker_is_reported_within_connect_timeout() -> None:
    # a listener whose backlog is full answers no further connection: as a host that is switched off
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as others:
        for _ in range(2):
            filler = others.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        uri = f"amqp://u:p@127.0.0.1:{listener.getsockname()[1]}/v"
        hub = RabbitBroker(uri, connect_timeout=1)
        with within(3), pytest.raises(BrokerUnavailable):
            hub.publisher().publish(direct("1"))
        with within(3), pytest.raises(BrokerUnavailable):
            hub.consumer(["q"], 1).take(1, 0.1)


def test_refused_credentials_are_unavailability(vhost: str) -> None:
    # a password is rotated at the broker first: what fails now may work in a moment
    with pytest.raises(BrokerUnavailable):
        RabbitBroker(vhost.replace("://", "://nobody-")).declare(TOPOLOGY)


def test_conflicting_queue_declaration_is_named(vhost: str) -> None:
    hub = RabbitBroker(vhost)
    hub.declare(TOPOLOGY)
    other = Topology(exchanges=(), queues=(Queue(name="q", arguments={}),), bindings=())
    with pytest.raises(BrokerUnavailable, match="queue 'q'"):
        hub.declare(other)


def test_missing_confirm_times_out_and_late_confirm_is_ignored(
    vhost: str, proxied: str, proxy: TcpProxy
) -> None:
    RabbitBroker(vhost).declare(TOPOLOGY)
    publisher = RabbitBroker(proxied, confirm_timeout=0.5).publisher()
    publisher.publish(direct("1"))
    proxy.swallow.set()
    with within(3), pytest.raises(PublishIncomplete) as caught:
        publisher.publish(direct("2", "3"))
    assert caught.value.confirmed == 0
    proxy.swallow.clear()
    before = proxy.connections
    publisher.publish(direct("2", "3"))
    assert proxy.connections == before + 1, "on the old channel a late confirm would count for a new message"
    consumer = RabbitBroker(vhost).consumer(["q"], 10)
    assert [d.message_id for d in take(consumer, 5)] == ["1", "2", "3", "2", "3"]
    consumer.close()
    publisher.close()


def test_frozen_connection_times_out(vhost: str, proxied: str, proxy: TcpProxy) -> None:
    RabbitBroker(vhost).declare(TOPOLOGY)
    publisher = RabbitBroker(proxied, confirm_timeout=0.5).publisher()
    publisher.publish(direct("1"))
    proxy.frozen.set()
    with within(3), pytest.raises(PublishIncomplete):
        publisher.publish(direct("2"))
    with within(3):
        publisher.close()


def test_closing_half_open_connection_ends_in_time(vhost: str, proxied: str, proxy: TcpProxy) -> None:
    RabbitBroker(vhost).declare(TOPOLOGY)
    hub = RabbitBroker(proxied)
    publisher, consumer = hub.publisher(), hub.consumer(["q"], 10)
    publisher.publish(direct("1"))
    take(consumer, 1)
    proxy.frozen.set()
    with within(6):
        publisher.close()
        consumer.close()


def test_consumer_detects_silent_connection_by_heartbeat(vhost: str, proxied: str, proxy: TcpProxy) -> None:
    RabbitBroker(vhost).declare(TOPOLOGY)
    consumer = RabbitBroker(proxied, heartbeat=1).consumer(["q"], 10)
    assert consumer.take(1, 0.01) == []
    # a quiet link is not taken for a broken one
    assert consumer.take(1, 3.5) == []
    proxy.frozen.set()
    with within(8), pytest.raises(BrokerUnavailable):
        consumer.take(1, 60)
    consumer.close()


def test_heartbeats_keep_idle_publisher_connected(vhost: str, proxied: str, proxy: TcpProxy) -> None:
    RabbitBroker(vhost).declare(TOPOLOGY)
    publisher = RabbitBroker(proxied, heartbeat=1).publisher()
    publisher.tend()
    publisher.publish(direct("1"))
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        publisher.tend()
        time.sleep(0.1)
    publisher.publish(direct("2"))
    assert proxy.connections == 1
    publisher.close()


def test_message_refused_by_broker_stops_the_wave(vhost: str) -> None:
    hub = RabbitBroker(vhost)
    hub.declare(TOPOLOGY)
    publisher = hub.publisher()
    # a full queue with reject-publish answers with a nack, some messages late
    with pytest.raises(PublishIncomplete, match="refused") as caught:
        publisher.publish(direct(*map(str, range(500)), queue="full"))
    assert caught.value.confirmed < 500
    assert caught.value.unroutable is None
    publisher.publish(direct("1"))
    publisher.close()


def test_connection_broken_during_wave_counts_only_confirmed_messages(
    vhost: str, proxied: str, proxy: TcpProxy
) -> None:
    RabbitBroker(vhost).declare(TOPOLOGY)
    publisher = RabbitBroker(proxied).publisher()
    publisher.publish(direct("1"))
    proxy.swallow.set()
    proxy.break_all()
    with within(3), pytest.raises(PublishIncomplete) as caught:
        publisher.publish(direct("2", "3"))
    assert caught.value.confirmed == 0
    publisher.close()


def test_consumer_receives_again_after_connection_breaks_while_waiting(
    vhost: str, proxied: str, proxy: TcpProxy
) -> None:
    hub = RabbitBroker(vhost)
    hub.declare(TOPOLOGY)
    consumer = RabbitBroker(proxied).consumer(["q"], 10)
    for id_ in ("1", "2"):
        assert consumer.take(1, 0.1) == []
        proxy.break_all()
        with within(5), pytest.raises(BrokerUnavailable):
            consumer.take(1, 30)
        publisher = hub.publisher()
        publisher.publish(direct(id_))
        publisher.close()
        taken = take(consumer, 1)
        assert [d.message_id for d in taken] == [id_]
        consumer.acknowledge(taken)
    consumer.close()


@pytest.mark.parametrize("fault", [OverflowError, ValueError, KeyError])
def test_frame_that_cannot_be_decoded_breaks_only_the_connection(fault: type[Exception]) -> None:
    class Link:
        def drain_events(self, timeout: float) -> None:
            raise fault("timestamp out of range for platform time_t")

    with pytest.raises(BROKEN, match="cannot be decoded"):
        drain(Link(), 0.1)


def test_publisher_says_that_the_broker_blocks_publishers(own_broker: PrivateBroker, own_vhost: str) -> None:
    RabbitBroker(own_vhost).declare(TOPOLOGY)
    alarm = "{resource_limit, memory, node()}"
    with contextlib.closing(RabbitBroker(own_vhost, confirm_timeout=3).publisher()) as publisher:
        own_broker.evaluate(f"rabbit_alarm:set_alarm({{{alarm}, []}})")
        try:
            with pytest.raises(PublishIncomplete, match="blocks publishers: it has a memory alarm"):
                publisher.publish(direct("m1"))
        finally:
            own_broker.evaluate(f"rabbit_alarm:clear_alarm({alarm})")
        publisher.publish(direct("m1"))
