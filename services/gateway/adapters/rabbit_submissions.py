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
    DEAD_LETTER_ARGUMENTS,
    SUBMISSIONS_ARGUMENTS,
    declare_submissions,
)
from services.gateway.domain.partner import DEAD_LETTERS, SUBMISSIONS, submissions_of
from services.gateway.submission_processor import LONGEST_BODY, Received, Verdict, digest_of

_log = logging.getLogger(__name__)

# Submissions of one organisation that are taken and not settled.
PREFETCH: Final = 20
# One `take` ends with the submission that reaches one of them.
_BATCH: Final = 100
_BATCH_BYTES: Final = 16 * 1024 * 1024
# Seconds between two looks for new queues.
_LOOK_SECONDS: Final = 2.0
# Seconds between two counts of the dead letters and of the waiting submissions.
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
        self._consumes_moved = False
        self._look_at = 0.0
        self._link: amqp.Connection | None = None
        self._channel: Any = None
        self._arrived: list[tuple[int, Received]] = []
        self._arrived_bytes = 0
        self._count_at = 0.0
        self.dead_letters = 0
        self.waiting: dict[str, int] = {}

    def close(self) -> None:
        """Close the connection; what was taken and not settled is delivered again."""
        link, self._link = self._link, None
        self._arrived, self._arrived_bytes = [], 0
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
                self.dead_letters = self._count(DEAD_LETTERS)
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
            while self._has_room() and drain(self._link, AT_ONCE_SECONDS):
                pass
        except BROKEN as error:
            raise self._broken(error) from error
        # All of them: a requeued submission must not come after a later one of its organisation.
        taken, self._arrived, self._arrived_bytes = self._arrived, [], 0
        return taken

    def settle(self, verdicts: Sequence[tuple[int, Verdict]]) -> None:
        """Acknowledge, requeue or dead-letter submissions by tag. Raises BrokerUnavailable."""
        try:
            for tag, verdict in verdicts:
                if verdict is Verdict.answered:
                    self._channel.basic_ack(tag)
                else:
                    self._channel.basic_reject(tag, requeue=verdict is Verdict.retried)
        except BROKEN as error:
            raise self._broken(error) from error

    def hand_back(self, organization: str, tags: Sequence[int]) -> None:
        """Requeue submissions of an organisation, and take none of it before the next look for queues.

        tags: all that are taken of it and not being processed, in order. Raises BrokerUnavailable.
        """
        try:
            # First, or the broker would deliver the requeued submissions at once.
            self._channel.basic_cancel(SUBMISSIONS)
            self._channel.basic_cancel(submissions_of(organization))
            self._consumes_moved = False
            self._consumed.discard(organization)
            meanwhile = [tag for tag, received in self._arrived if received.organization == organization]
            self._arrived = [each for each in self._arrived if each[1].organization != organization]
            self._arrived_bytes = sum(len(received.body) for _, received in self._arrived)
            for tag in (*tags, *meanwhile):
                self._channel.basic_reject(tag, requeue=True)
            self._look_at = time.monotonic() + _LOOK_SECONDS
        except BROKEN as error:
            raise self._broken(error) from error

    def _has_room(self) -> bool:
        return 0 < len(self._arrived) < _BATCH and self._arrived_bytes < _BATCH_BYTES

    def _connect(self) -> None:
        self._link = self._connection_factory.connect()
        self._heartbeat = Heartbeat(self._link, self._connection_factory.heartbeat)
        channel = self._channel = self._link.channel()
        # The bytes as they were sent: py-amqp would decode them by the encoding that the message states.
        channel.auto_decode = False
        channel.queue_declare(DEAD_LETTERS, durable=True, auto_delete=False, arguments=DEAD_LETTER_ARGUMENTS)
        channel.queue_declare(SUBMISSIONS, durable=True, auto_delete=False, arguments=SUBMISSIONS_ARGUMENTS)
        channel.basic_qos(0, PREFETCH, False)  # the prefetch of each consumer
        self._consumes_moved = False
        self._consumed.clear()
        self._look_at = 0.0

    def _look(self) -> None:
        if not self._consumes_moved:
            self._channel.basic_consume(SUBMISSIONS, SUBMISSIONS, callback=partial(self._on_message, None))
            self._consumes_moved = True
        try:
            found = self._organizations()
        except BrokerUnavailable as error:
            _log.warning("cannot look for new queues of submissions", extra={"reason": str(error)})
            return
        for organization in sorted(set(found) - self._consumed):
            if self._arrived_bytes >= _BATCH_BYTES:
                break  # a new consumer gets its submissions while the broker answers: the rest comes later
            declare_submissions(self._channel, organization)
            self._channel.basic_consume(
                submissions_of(organization),
                submissions_of(organization),  # the consumer's tag
                callback=partial(self._on_message, organization),
                # Deleted at the broker: consumed again once it is back.
                on_cancel=lambda _, organization=organization: self._consumed.discard(organization),
            )
            self._consumed.add(organization)

    def _count(self, queue: str) -> int:
        count: int = self._channel.queue_declare(queue, passive=True).message_count
        return count

    def _on_message(self, owner: str | None, message: Any) -> None:
        """owner: of the queue; None: of the queue of dead letters that an operator moved back."""
        properties, info = message.properties, message.delivery_info
        body = message.body or b""
        body = body if isinstance(body, bytes) else body.encode()
        dropped = None
        if len(body) > LONGEST_BODY:
            # It will be refused: nothing parses it, and nothing keeps it until then.
            dropped, body = digest_of(body), b""
        received = Received(
            # Only the gateway's user may publish to the operators' queue, and the broker compared user_id
            # when the submission first came.
            organization=(properties.get("user_id") or "") if owner is None else owner,
            body=body,
            user_id=properties.get("user_id"),
            message_id=properties.get("message_id"),
            content_type=properties.get("content_type"),
            content_encoding=properties.get("content_encoding"),
            expiration=properties.get("expiration"),
            dropped=dropped,
        )
        self._arrived_bytes += len(body)
        self._arrived.append((info["delivery_tag"], received))

    def _broken(self, error: BaseException) -> BrokerUnavailable:
        link, self._link = self._link, None
        self._arrived, self._arrived_bytes = [], 0
        if link is not None:
            abandon(link)
        return BrokerUnavailable(f"The connection to the partners' broker failed ({type(error).__name__}).")
