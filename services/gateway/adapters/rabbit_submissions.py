"""The queues of submissions at RabbitMQ, one for each organisation: none waits for a flood of another."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
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
from services.gateway.adapters.partners_topology import (
    PARKED_ARGUMENTS,
    SUBMISSIONS_ARGUMENTS,
    declare_submissions,
)
from services.gateway.domain.partner import PARKED, SUBMISSIONS, submissions_of
from services.gateway.submission_desk import Received, Verdict, received

_log = logging.getLogger(__name__)

# Submissions of one organisation that are taken and not settled.
PREFETCH: Final = 20
_BATCH: Final = 100
# Seconds between two looks for new queues.
_LOOK_SECONDS: Final = 2.0
# Seconds between two counts of the parked and of the waiting submissions.
_COUNT_SECONDS: Final = 15.0


class RabbitSubmissions:
    """Takes submissions in batches and settles them. Declares the exchange and the queues.

    organizations: returns those that have or may have a queue, and may raise BrokerUnavailable.
    """

    def __init__(
        self, connection_factory: ConnectionFactory, organizations: Callable[[], Collection[str]]
    ) -> None:
        self._connection_factory = connection_factory
        self._organizations = organizations
        self._consumed: set[str] = set()
        self._look_at = 0.0
        self._link: amqp.Connection | None = None
        self._channel: Any = None
        self._arrived: list[tuple[int, Received]] = []
        self._count_at = 0.0
        self.parked = 0
        self.waiting: dict[str, int] = {}

    def close(self) -> None:
        """Close the connection; what was taken and not settled is delivered again."""
        link, self._link = self._link, None
        self._arrived.clear()
        if link is not None:
            close(link)

    def take(self, seconds: float) -> list[tuple[int, Received]]:
        """Return submissions with their tags, at most PREFETCH of each queue; none if none arrives in time.

        Raises BrokerUnavailable.
        """
        try:
            if self._link is None:
                self._connect()
            assert self._link is not None
            self._heartbeat.beat()
            if time.monotonic() >= self._look_at:
                self._look()
                self._look_at = time.monotonic() + _LOOK_SECONDS
            if time.monotonic() >= self._count_at:
                self.parked = self._count(PARKED)
                # A copy: a cancellation that arrives meanwhile changes the set.
                consumed = tuple(self._consumed)
                self.waiting = {"": self._count(SUBMISSIONS)} | {
                    organization: self._count(submissions_of(organization)) for organization in consumed
                }
                self._count_at = time.monotonic() + _COUNT_SECONDS
            deadline = time.monotonic() + seconds
            while not self._arrived and (left := deadline - time.monotonic()) > 0:
                drain(self._link, min(left, self._heartbeat.interval))
                self._heartbeat.beat()
            while self._arrived and len(self._arrived) < _BATCH and drain(self._link, AT_ONCE_SECONDS):
                pass
        except BROKEN as error:
            raise self._broken(error) from error
        # All of them: what is requeued must not come after a later one of its organisation.
        taken, self._arrived = self._arrived, []
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
        channel.queue_declare(PARKED, durable=True, auto_delete=False, arguments=PARKED_ARGUMENTS)
        channel.queue_declare(SUBMISSIONS, durable=True, auto_delete=False, arguments=SUBMISSIONS_ARGUMENTS)
        channel.basic_qos(0, PREFETCH, False)  # of each consumer
        channel.basic_consume(SUBMISSIONS, callback=partial(self._on_message, None))
        self._consumed.clear()
        self._look_at = 0.0

    def _look(self) -> None:
        try:
            found = self._organizations()
        except BrokerUnavailable as error:
            _log.warning("new submission queues are not discovered", extra={"reason": str(error)})
            return
        for organization in sorted(set(found) - self._consumed):
            declare_submissions(self._channel, organization)
            self._channel.basic_consume(
                submissions_of(organization),
                callback=partial(self._on_message, organization),
                # Deleted at the broker: consumed again once it is back.
                on_cancel=lambda _, organization=organization: self._consumed.discard(organization),
            )
            self._consumed.add(organization)

    def _count(self, queue: str) -> int:
        count: int = self._channel.queue_declare(queue, passive=True).message_count
        return count

    def _on_message(self, owner: str | None, message: Any) -> None:
        """owner: of the queue; None: of the queue of parked submissions that an operator moved back."""
        properties, info = message.properties, message.delivery_info
        body = message.body or b""
        # A body that is too long goes at once: twenty of them, of each organisation, would be 320 MiB.
        one = received(
            # Only the gateway's user may publish to the operators' queue, and the broker compared user_id
            # when the submission first came.
            (properties.get("user_id") or "") if owner is None else owner,
            body if isinstance(body, bytes) else body.encode(),
            user_id=properties.get("user_id"),
            message_id=properties.get("message_id"),
            content_type=properties.get("content_type"),
            content_encoding=properties.get("content_encoding"),
            expiration=properties.get("expiration"),
        )
        self._arrived.append((info["delivery_tag"], one))

    def _broken(self, error: BaseException) -> BrokerUnavailable:
        link, self._link = self._link, None
        self._arrived.clear()
        if link is not None:
            abandon(link)
        return BrokerUnavailable(f"The connection to the partners' broker failed ({type(error).__name__}).")
