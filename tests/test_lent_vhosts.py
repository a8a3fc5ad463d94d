"""Virtual hosts that are lent: each test finds the hub's topology, no message and no consumer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from kombu import Connection

from contracts.topology import LOG, hub_topology
from runtime.messaging.rabbit.broker import RabbitBroker
from sandbox.broker import PrivateBroker
from tests.services.neighbours import event_of, opened
from tests.support.hub_keys import signed_event
from tests.support.lent_vhosts import LentVhosts

QUEUE = "audit.log"


@pytest.fixture(scope="module")
def vhosts(broker: PrivateBroker) -> LentVhosts:
    return LentVhosts(broker)


def publish(uri: str, number: int) -> None:
    with closing(RabbitBroker(uri).publisher()) as publisher:
        message = replace(signed_event(event_of(opened(), "routing")), exchange=LOG, routing_key=QUEUE)
        publisher.publish([message] * number)


def waiting(uri: str) -> int:
    with Connection(uri) as connection:
        return int(connection.channel().queue_declare(QUEUE, passive=True).message_count)


def test_next_test_gets_the_same_virtual_host_without_messages_and_consumers(vhosts: LentVhosts) -> None:
    with vhosts.lent() as first:
        publish(first, 3)
        # Neither is closed by the test: one has a message in hand, one waits.
        holding = RabbitBroker(first).consumer([QUEUE], 1)
        assert holding.take(1, 10)
        assert waiting(first) == 2
    with vhosts.lent() as second:
        assert second == first
        assert waiting(second) == 0
        publish(second, 1)
        with closing(RabbitBroker(second).consumer([QUEUE], 10)) as consumer:
            assert len(consumer.take(10, 10)) == 1


def test_two_tests_at_a_time_get_two(vhosts: LentVhosts) -> None:
    with vhosts.lent() as one, vhosts.lent() as other:
        assert one != other


@pytest.mark.parametrize("change", ["queue deleted", "queue added", "binding removed", "binding added"])
def test_changed_virtual_host_is_not_lent_again(vhosts: LentVhosts, change: str) -> None:
    binding = next(one for one in hub_topology().bindings if one.destination == "vault.events")
    with vhosts.lent() as first, Connection(first) as connection:
        channel = connection.channel()
        match change:
            case "queue deleted":
                channel.queue_delete(QUEUE)
            case "queue added":
                channel.queue_declare("another", durable=True, auto_delete=False)
            case "binding removed":
                channel.queue_unbind(binding.destination, binding.source, binding.key)
            case "binding added":
                channel.queue_bind(binding.destination, binding.source, "another.key")
    with vhosts.lent() as second:
        assert second != first
