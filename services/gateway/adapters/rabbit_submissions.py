"""The queue of submissions at RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import amqp

from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.connection import (
    AT_ONCE_SECONDS,
    BROKEN,
    ConnectionFactory,
    Heartbeat,
    abandon,
    close,
    drain,
)
from services.gateway.adapters.partners_topology import PARKED_ARGUMENTS, SUBMISSIONS_ARGUMENTS
from services.gateway.domain.partner import PARKED, SUBMISSIONS, SUBMIT
from services.gateway.submission_desk import Received, Verdict

PREFETCH: Final = 100
# Seconds between two counts of the parked and of the waiting submissions.
_COUNT_SECONDS: Final = 15.0


class RabbitSubmissions:
    """Takes submissions in batches and settles them. Declares the exchange and the queues."""

    def __init__(self, connection_factory: ConnectionFactory) -> None:
        self._connection_factory = connection_factory
        self._link: amqp.Connection | None = None
        self._channel: Any = None
        self._arrived: list[tuple[int, Received]] = []
        self._count_at = 0.0
        self.parked = 0
        self.waiting = 0

    def close(self) -> None:
        """Close the connection; what was taken and not settled is delivered again."""
        link, self._link = self._link, None
        self._arrived.clear()
        if link is not None:
            close(link)

    def take(self, seconds: float) -> list[tuple[int, Received]]:
        """Return up to PREFETCH submissions with their tags; none if none arrives in time.

        Raises BrokerUnavailable.
        """
        try:
            if self._link is None:
                self._connect()
            assert self._link is not None
            self._heartbeat.beat()
            if time.monotonic() >= self._count_at:
                self.parked = self._channel.queue_declare(PARKED, passive=True).message_count
                self.waiting = self._channel.queue_declare(SUBMISSIONS, passive=True).message_count
                self._count_at = time.monotonic() + _COUNT_SECONDS
            deadline = time.monotonic() + seconds
            while not self._arrived and (left := deadline - time.monotonic()) > 0:
                drain(self._link, min(left, self._heartbeat.interval))
                self._heartbeat.beat()
            while self._arrived and len(self._arrived) < PREFETCH and drain(self._link, AT_ONCE_SECONDS):
                pass
        except BROKEN as error:
            raise self._broken(error) from error
        taken, self._arrived = self._arrived[:PREFETCH], self._arrived[PREFETCH:]
        return taken

    def settle(self, verdicts: Sequence[tuple[int, Verdict]]) -> None:
        """Acknowledge, requeue or park submissions by tag. Raises BrokerUnavailable."""
        try:
            for tag, verdict in verdicts:
                if verdict is Verdict.answered:
                    self._channel.basic_ack(tag)
                else:
                    self._channel.basic_reject(tag, requeue=verdict is Verdict.retried)
        except BROKEN as error:
            raise self._broken(error) from error

    def _connect(self) -> None:
        self._link = self._connection_factory.connect()
        self._heartbeat = Heartbeat(self._link, self._connection_factory.heartbeat)
        channel = self._channel = self._link.channel()
        # The bytes as they were sent: py-amqp would decode them by the encoding that the message states.
        channel.auto_decode = False
        channel.exchange_declare(SUBMIT, "topic", durable=True, auto_delete=False)
        channel.queue_declare(PARKED, durable=True, auto_delete=False, arguments=PARKED_ARGUMENTS)
        channel.queue_declare(SUBMISSIONS, durable=True, auto_delete=False, arguments=SUBMISSIONS_ARGUMENTS)
        channel.queue_bind(SUBMISSIONS, SUBMIT, "#")
        channel.basic_qos(0, PREFETCH, False)
        channel.basic_consume(SUBMISSIONS, callback=self._on_message)

    def _on_message(self, message: Any) -> None:
        properties, info = message.properties, message.delivery_info
        body = message.body or b""
        key = info["routing_key"]
        received = Received(
            # An operator's move from the parked ones to this queue replaced the routing key by its name. Only
            # the gateway's user may publish so, and the broker compared user_id when it first came.
            organization=key if key != SUBMISSIONS else properties.get("user_id") or "",
            body=body if isinstance(body, bytes) else body.encode(),
            user_id=properties.get("user_id"),
            message_id=properties.get("message_id"),
            content_encoding=properties.get("content_encoding"),
        )
        self._arrived.append((info["delivery_tag"], received))

    def _broken(self, error: BaseException) -> BrokerUnavailable:
        link, self._link = self._link, None
        self._arrived.clear()
        if link is not None:
            abandon(link)
        return BrokerUnavailable(f"The connection to the partners' broker failed ({type(error).__name__}).")
