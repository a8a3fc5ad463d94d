"""A thief at the broker, who holds a password with every right, and perhaps one service's signing key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

from admin.embedded_broker import BrokerFiles, BrokerIdentity
from contracts.envelope import Event
from contracts.facts import Fact
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Consumer, Delivery, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from tests.journey.running_hub import RunningHub

Sign = Callable[[Outgoing], Outgoing]


def unsigned(message: Outgoing) -> Outgoing:
    """Return the message without a signature: the thief has only the broker's password."""
    return message


class Thief:
    """Publishes forged facts, and copies messages that pass through the broker."""

    def __init__(self, hub: RunningHub, sign: Sign = unsigned) -> None:
        identity = BrokerFiles(root=hub.files.directory / "broker").identity
        self._uri = BrokerIdentity.from_json(identity.read_text(encoding="utf-8")).uri()
        self._sign = sign

    def forge(self, fact: Fact, *, source: str, about: str, type_: str | None = None) -> str:
        """Publish the fact with this source, as the hub's services publish it; return the message's id.

        about: the partition key. type_: another type that the message states.
        """
        number = new_id()
        event = Event(
            id=number,
            source=source,
            time=datetime.now(UTC),
            partition_key=about,
            correlation_id=number,
            causation_id=None,
            data=fact,
        )
        message = outgoing(event)
        if type_ is not None:
            message = replace(message, body=message.body.replace(fact.type.encode(), type_.encode()))
        self.publish(self._sign(message))
        return number

    def publish(self, message: Outgoing) -> None:
        """Publish a message; return when the broker has accepted it."""
        with closing(RabbitBroker(self._uri).publisher()) as publisher:
            publisher.publish([message])

    def consumer(self, queue: str) -> Consumer:
        """Return a consumer of the queue. It gets messages once the queue's own consumer is gone."""
        return RabbitBroker(self._uri).consumer([queue], 1000)

    def parked(self, consumer: str) -> list[Delivery]:
        """Copy the dead letters of a consumer; they stay in their queue."""
        with closing(RabbitBroker(self._uri).consumer([f"{consumer}.parked"], 1000)) as reader:
            found: list[Delivery] = []
            while taken := reader.take(1000, 0.5):
                found += taken
            return found
