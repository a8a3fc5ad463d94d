"""The organisations' queues at RabbitMQ, over one connection of the gateway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import amqp
from amqp.exceptions import NotFound

from contracts.envelope import CONTENT_TYPE
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.connection import BROKEN, ConnectionFactory, abandon, close, drain
from services.gateway.adapters.partners_topology import MAILBOX_ARGUMENTS, declare_submissions
from services.gateway.domain.partner import queue_of
from services.gateway.domain.window import CAPACITY
from services.gateway.ports import MailboxMessage, QueueState, SessionEnded

_PERSISTENT: Final = 2
_CONFIRM_SECONDS: Final = 15.0

T = TypeVar("T")


class RabbitQueues:
    """See `ports.Queues`. Greenlets may share it: one uses the connection at a time."""

    def __init__(self, connection_factory: ConnectionFactory) -> None:
        self._connection_factory = connection_factory
        self._lock = threading.Lock()
        self._link: amqp.Connection | None = None
        self._channel: Any = None
        self._session = 0
        self._confirmed: set[int] = set()
        self._refused: set[int] = set()
        self._published = 0

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            link, self._link = self._link, None
            if link is not None:
                close(link)

    def beat(self) -> None:
        """Send a heartbeat when due. Call it every few seconds; a broken connection ends the session."""
        with self._lock:
            if self._link is not None:
                self._guarded(self._tick)

    def begin(self, organization: str) -> int:
        """See `ports.Queues`."""
        with self._lock:
            if self._link is None:
                self._connect()
            self._guarded(lambda: self._emptied(organization))
            return self._session

    def standing(self, session: int, organization: str) -> QueueState:
        """See `ports.Queues`."""
        with self._lock:
            self._require(session)
            return self._guarded(lambda: self._standing(queue_of(organization)))

    def look(self, session: int, organization: str) -> list[str]:
        """See `ports.Queues`."""
        with self._lock:
            self._require(session)
            return self._guarded(lambda: self._seen(queue_of(organization)))

    def copy(self, session: int, organization: str, messages: Sequence[MailboxMessage]) -> int:
        """See `ports.Queues`."""
        with self._lock:
            self._require(session)
            return self._guarded(lambda: self._copied(queue_of(organization), messages))

    def _require(self, session: int) -> None:
        if self._link is None or session != self._session:
            raise SessionEnded

    def _connect(self) -> None:
        self._link = self._connection_factory.connect()
        self._session += 1
        self._guarded(self._open_channel)

    def _open_channel(self) -> None:
        assert self._link is not None
        self._channel = self._link.channel()
        self._published = 0
        self._confirmed.clear()
        self._refused.clear()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._note(self._confirmed))
        self._channel.events["basic_nack"].add(self._note(self._refused))

    def _note(self, numbers: set[int]) -> Callable[..., None]:
        def note(delivery_tag: int, multiple: bool) -> None:
            settled = self._confirmed | self._refused
            first = 1 if multiple else delivery_tag
            numbers.update(number for number in range(first, delivery_tag + 1) if number not in settled)

        return note

    def _tick(self) -> None:
        assert self._link is not None
        drain(self._link, 0.001)
        self._link.heartbeat_tick()

    def _emptied(self, organization: str) -> None:
        # Before the organisation may publish: what reaches no queue is lost.
        declare_submissions(self._channel, organization)
        queue = queue_of(organization)
        self._channel.queue_declare(queue, durable=True, auto_delete=False, arguments=MAILBOX_ARGUMENTS)
        self._channel.queue_purge(queue)

    def _seen(self, queue: str) -> list[str]:
        assert self._link is not None
        # On a channel of its own, whose end gives everything back.
        channel = self._link.channel()
        ids: list[str] = []
        while len(ids) <= 2 * CAPACITY and (found := channel.basic_get(queue)) is not None:
            ids.append(str(found.properties["message_id"]))
        channel.close()
        return ids

    def _standing(self, queue: str) -> QueueState:
        try:
            found = self._channel.queue_declare(queue, passive=True)
            return QueueState(waiting=found.message_count, consumers=found.consumer_count)
        except NotFound as error:
            # Somebody deleted it: the channel is closed, and the copied messages are lost.
            self._open_channel()
            raise SessionEnded from error

    def _copied(self, queue: str, messages: Sequence[MailboxMessage]) -> int:
        assert self._link is not None
        first = self._published + 1
        for message in messages:
            content = amqp.Message(
                message.body,
                content_type=CONTENT_TYPE,
                delivery_mode=_PERSISTENT,
                message_id=message.id,
                type=message.type,
            )
            self._channel.basic_publish(content, "", queue)
            self._published += 1
        numbers = range(first, self._published + 1)
        deadline = time.monotonic() + _CONFIRM_SECONDS
        while not self._settled(numbers):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no confirm in time")
            drain(self._link, left)
        # In order: a message that was confirmed after a refused one is copied again.
        done = next((n - first for n in numbers if n in self._refused), len(messages))
        self._confirmed.difference_update(numbers)
        self._refused.difference_update(numbers)
        return done

    def _settled(self, numbers: range) -> bool:
        return all(number in self._confirmed or number in self._refused for number in numbers)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except BROKEN as error:
            link, self._link = self._link, None
            if link is not None:
                abandon(link)
            raise BrokerUnavailable(
                f"The connection to the partners' broker failed ({type(error).__name__})."
            ) from error
