"""The RabbitMQ publisher: waves of messages with pipelined confirms.

It publishes a wave and then waits once for all its confirms; kombu's own publisher waits for each one, which
is fifteen times slower. The broker confirms unroutable messages as well; only `mandatory` makes it return
them. After a timeout, a nack or a return the connection is dropped: on the same channel, a late confirm would
be counted for the wrong message.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import amqp

from contracts.envelope import CONTENT_TYPE
from contracts.topology import published_to
from runtime.messaging.outbox import event_batch
from runtime.messaging.ports import BrokerUnavailable, Outgoing, PublishIncomplete
from runtime.messaging.rabbit.connection import (
    AT_ONCE_SECONDS,
    BROKEN,
    ConnectionFactory,
    Heartbeat,
    SendBuffer,
    abandon,
    close,
    drain,
    has_arrived,
)

TRANSIENT, PERSISTENT = 1, 2
# Source: RabbitMQ, "Blocked Connection Notifications".
BLOCKED = "the broker blocks publishers: it has a memory alarm or a disk alarm"

_Place = tuple[str, str, str]  # exchange, routing key, message id


class RabbitPublisher:
    """See `ports.Publisher`."""

    def __init__(
        self, connection_factory: ConnectionFactory, confirm_timeout: float, service: str | None
    ) -> None:
        """service: publishes to its own exchanges; None: to those of each fact's owner."""
        self._connection_factory = connection_factory
        self._confirm_timeout = confirm_timeout
        self._service = service
        self._user = connection_factory.user
        self._open: _ConfirmingChannel | None = None

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """See `ports.Publisher`."""
        if not messages:
            return
        if self._open is None:
            link = self._connection_factory.connect()
            self._open = _ConfirmingChannel(
                link,
                self._connection_factory.heartbeat,
                self._confirm_timeout,
                service=self._service,
                user=self._user,
            )
        try:
            self._open.publish(messages)
        except BaseException:
            self._abandon()
            raise

    def tend(self) -> None:
        """See `ports.Publisher`."""
        if self._open is None:
            return
        try:
            self._open.tend()
        except BROKEN:
            self._abandon()

    def close(self) -> None:
        """See `ports.Publisher`."""
        if self._open is not None:
            close(self._open.link)
            self._open = None

    def _abandon(self) -> None:
        if self._open is not None:
            abandon(self._open.link)
            self._open = None


class _ConfirmingChannel:
    """A channel in confirm mode, used until its first failure."""

    def __init__(
        self, link: amqp.Connection, heartbeat: int, confirm_timeout: float, *, service: str | None, user: str
    ) -> None:
        self.link = link
        self._service = service
        self._user = user
        self._confirm_timeout = confirm_timeout
        self._heartbeat = Heartbeat(link, heartbeat)
        self._sending = SendBuffer(link)
        try:
            self._channel = link.channel()
            self._channel.confirm_select()
        except BROKEN as error:
            abandon(link)
            raise BrokerUnavailable("The broker closed a new connection.") from error
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        # RabbitMQ announces it once the connection has published, and py-amqp drops the reason.
        self._is_blocked = False
        link.on_blocked = self._on_blocked
        link.on_unblocked = self._on_unblocked
        # The broker numbers the messages of a channel from 1 in its confirms.
        self._published = 0
        self._outstanding: set[int] = set()
        self._wave: dict[_Place, int] = {}
        self._failed_at: int | None = None  # the first message that the broker returned or refused
        self._failure = ""
        self._unroutable: str | None = None

    def publish(self, messages: Sequence[Outgoing]) -> None:
        first = self._published + 1
        self._wave.clear()
        failure = ""
        try:
            with self._sending.gathering():
                for message in messages:
                    self._send(message)
            failure = self._await_confirms()
        except BROKEN as error:
            failure = f"the connection failed ({type(error).__name__})"
        failure = self._failure or failure
        if failure:
            # Count only the confirmed prefix: messages after a gap must not overtake the one in the gap.
            safe_before = min(self._outstanding, default=self._published + 1)
            if self._failed_at is not None:
                safe_before = min(safe_before, self._failed_at)
            raise PublishIncomplete(safe_before - first, failure, unroutable=self._unroutable)

    def tend(self) -> None:
        self._heartbeat.beat()
        if has_arrived(self.link):
            drain(self.link, AT_ONCE_SECONDS)

    def _send(self, message: Outgoing) -> None:
        self._published += 1
        self._outstanding.add(self._published)
        # The broker returns both of two messages with the same place, or neither.
        exchange = published_to(message.exchange, message.routing_key, self._service)
        place = (exchange, message.routing_key, message.message_id)
        self._wave.setdefault(place, self._published)
        self._channel.basic_publish(
            _amqp_message(message, self._user),
            exchange=exchange,
            routing_key=message.routing_key,
            mandatory=not message.transient,
        )

    def _await_confirms(self) -> str:
        """Return why the wave is not fully confirmed; empty when it is."""
        deadline = time.monotonic() + self._confirm_timeout
        while self._is_waiting():
            left = deadline - time.monotonic()
            if left <= 0:
                return BLOCKED if self._is_blocked else "the confirms did not arrive in time"
            if not drain(self.link, min(left, self._heartbeat.interval)):
                self._heartbeat.beat()
        return ""

    def _is_waiting(self) -> bool:
        # A return overtakes the confirms of earlier messages. Wait for those confirms, so that the messages
        # are not published again on each attempt.
        if self._failed_at is None:
            return bool(self._outstanding)
        return min(self._outstanding, default=self._failed_at) < self._failed_at

    def _on_ack(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._outstanding = {n for n in self._outstanding if n > tag}
        else:
            self._outstanding.discard(tag)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        refused = min(self._outstanding, default=tag) if multiple else tag
        self._fail(refused, "the broker refused a message")

    def _on_return(self, exception: Exception, exchange: str, routing_key: str, message: Any) -> None:
        # The broker also confirms a returned message right after, so returns are recorded separately.
        number = self._wave[exchange, routing_key, message.properties["message_id"]]
        place = f"{exchange or '(default)'} {routing_key}"
        self._unroutable = self._unroutable or place
        self._fail(number, f"a message is unroutable ({place})")

    def _on_blocked(self, _reason: str) -> None:
        self._is_blocked = True

    def _on_unblocked(self) -> None:
        self._is_blocked = False

    def _fail(self, number: int, reason: str) -> None:
        if self._failed_at is None or number < self._failed_at:
            self._failed_at = number
            self._failure = reason


def _amqp_message(message: Outgoing, user: str) -> amqp.Message:
    return amqp.Message(
        message.body,
        content_type=event_batch.CONTENT_TYPE if event_batch.is_batch(message.body) else CONTENT_TYPE,
        delivery_mode=TRANSIENT if message.transient else PERSISTENT,
        message_id=message.message_id,
        # The broker refuses any other user than the connection's.
        user_id=user,
        application_headers=message.all_headers,
    )
