"""Processing of a batch of deliveries between receipt and acknowledgement.

One transaction contains the inbox rows (except in audit, whose log is its inbox), the handler's state and its
outbox rows. When it fails, the messages are processed one by one, so that only the message at fault is
dead-lettered. A message whose author is not proven is dead-lettered before any of this.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from contracts.errors import Unavailable
from contracts.facts import routing_key_of
from contracts.records import Malformed
from contracts.topology import admitted_facts
from runtime.clock import Clock
from runtime.messaging.clocks import MOST_AHEAD, Clocks
from runtime.messaging.consumer_age import ConsumerAge
from runtime.messaging.dead_letters.dead_letter import dead_letter_of, reason_of
from runtime.messaging.headers import SIGNED, UNDECODABLE_PROPERTIES
from runtime.messaging.inbox import Deduplicator, EventIdentity, Inbox
from runtime.messaging.message_spans import MessageSpans
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.retries import MOST_ATTEMPTS, Retries
from runtime.messaging.signatures.verifier import FactVerifier, NotAuthentic
from runtime.messaging.tables import MessagingTables
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.turn import Turn

_log = logging.getLogger(__name__)


class Identified(Protocol):
    """A decoded message: members of its CloudEvent. The inbox knows it by id and source."""

    @property
    def id(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def time(self) -> dt.datetime: ...


M = TypeVar("M", bound=Identified)
M_contra = TypeVar("M_contra", bound=Identified, contravariant=True)


class BatchHandler(Protocol[M_contra]):
    """A use case for a batch: reads and writes through the transaction, returns the messages to publish.

    Raises Unavailable for a message that cannot be processed *yet*: it is retried later, and dead-lettered
    after MOST_ATTEMPTS. Any other exception dead-letters the message at once.
    """

    def __call__(
        self, transaction: Connection, messages: Sequence[M_contra], now: dt.datetime, /
    ) -> Iterable[Outgoing]: ...


@dataclass(slots=True)  # not frozen: one for each event, and setting frozen members takes three times as long
class _Decoded(Generic[M]):
    delivery: Delivery
    message: M


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hopeless:
    """A delivery to dead-letter, with the reason. message: None when it is not decoded or not authentic."""

    delivery: Delivery
    reason: str
    message: Any = None


class BatchProcessor(Generic[M]):
    """The processing of one consumer's messages, from one or more queues, without its connection."""

    def __init__(
        self,
        consumer: str,
        queues: Sequence[str],
        *,
        database: Database,
        tables: MessagingTables,
        verifier: FactVerifier,
        decode: Callable[[bytes], M],
        handler: BatchHandler[M],
        clock: Clock,
        metrics: MessagingMetrics,
        after_commit: Callable[[], None],
        deduplicator: Deduplicator | None = None,
        keep_proof: Callable[[M, str], M] | None = None,
        clocks: Clocks | None = None,
        fault: Callable[[Delivery, M], str | None] = lambda _delivery, _message: None,
        durable: bool = True,
        spans: MessageSpans | None = None,
    ) -> None:
        """consumer: its name in the inbox, the metrics and the dead-letter queue.

        verifier: no message takes effect before it has confirmed who wrote it.
        deduplicator: default, the inbox. keep_proof: returns the message with its signature, for a handler
        that stores it as evidence. clocks: receives the times of arriving messages.
        fault: returns why a message did not come from its author's broker user (`authors`); such a message is
        dead-lettered. durable: False if the effects may be lost with the power (`Database.write`).
        spans: receives what took effect and what was dead-lettered, for traces.
        """
        self.consumer = consumer
        self.queues = queues
        self._database = database
        self._deduplicator = deduplicator or Inbox(tables.inbox)
        self._outbox = Outbox(tables.outbox)
        self._retries = Retries(tables.retries, consumer)
        self._verifier = verifier
        self._decode = decode
        self._handler = handler
        self._clock = clock
        self._metrics = metrics
        self._after_commit = after_commit
        self._keep_proof = keep_proof
        self._clocks = clocks or Clocks()
        self._age = ConsumerAge(clock)
        metrics.add_consumer(consumer, self._age.seconds)
        self._fault = fault
        self._durable = durable
        self._spans = spans or MessageSpans("")

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Process deliveries; return when each one took effect, was known, is dead-lettered or will be
        retried.

        Only then may they be acknowledged. Raises DatabaseUnavailable: their state is then uncertain.
        """
        decoded, hopeless = self._decoded(deliveries)
        self._clocks.note((one.message for one in decoded), self._clock.now())
        self._age.taken(one.message for one in decoded)
        try:
            self._apply(decoded)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - any fault may concern only one message
            if len(decoded) > 1:
                _log.warning(
                    "batch failed, processing messages one by one", extra={"reason": reason_of(error)}
                )
            turn = Turn()
            for one in decoded:
                turn.end_if_over()
                hopeless += self._apply_alone(one, attempts=0)
        self._park(hopeless)
        self._age.finished()
        self._after_commit()

    def retry_due(self, limit: int = 100) -> int:
        """Process the messages that are due for a retry; return how many."""
        now = self._clock.now()
        with self._database.read() as transaction:
            due = self._retries.due(transaction, now, limit)
        turn = Turn()
        for retry in due:
            turn.end_if_over()
            # It was checked when it arrived; the row in our database has no user.
            decoded, hopeless = self._decoded([retry.delivery], check=False)
            for one in decoded:
                hopeless += self._apply_alone(one, attempts=retry.attempts)
            self._park(hopeless, retried=True)
        if due:
            self._after_commit()
        return len(due)

    def _decoded(
        self, deliveries: Sequence[Delivery], *, check: bool = True
    ) -> tuple[list[_Decoded[M]], list[_Hopeless]]:
        decoded, hopeless = [], []
        now = self._clock.now()
        turn = Turn()
        for delivery in deliveries:
            turn.end_if_over()
            if UNDECODABLE_PROPERTIES in delivery.headers:
                hopeless.append(_Hopeless(delivery=delivery, reason="its AMQP properties cannot be decoded"))
                continue
            try:
                author = self._verifier.author_of(delivery.body, delivery.headers.get(SIGNED))
                message = self._decode(delivery.body)
                self._verifier.check(author, message)
                if self._keep_proof is not None:
                    message = self._keep_proof(message, delivery.headers[SIGNED])
            except NotAuthentic as error:
                self._metrics.not_authentic.labels(self.consumer, error.check).inc()
                hopeless.append(_Hopeless(delivery=delivery, reason=f"not authentic: {error}"))
                continue
            except Malformed as error:
                hopeless.append(_Hopeless(delivery=delivery, reason=reason_of(error)))
                continue
            if (reason := self._inadmissible(delivery, message, now)) is not None:
                hopeless.append(_Hopeless(delivery=delivery, reason=reason))
                continue
            if check and (fault := self._fault(delivery, message)) is not None:
                self._metrics.not_authentic.labels(self.consumer, "user").inc()
                hopeless.append(_Hopeless(delivery=delivery, reason=f"not authentic: {fault}"))
                continue
            decoded.append(_Decoded(delivery, message))
        return decoded, hopeless

    def _inadmissible(self, delivery: Delivery, message: M, now: dt.datetime) -> str | None:
        """Return why an authentic message may not take effect here now; None if it may.

        Its signature says neither for which queue it is meant nor when it was sent. A captured one could
        reach another consumer, or take effect again after the inbox has forgotten it.
        """
        admitted = admitted_facts(delivery.queue)
        if admitted is not None and routing_key_of(message.type) not in admitted:
            self._metrics.not_authentic.labels(self.consumer, "queue").inc()
            return f"not authentic: the queue {delivery.queue} is not for messages of type {message.type}"
        longest = self._deduplicator.remembers
        if longest is None:
            return None
        if message.time < now - longest:
            return f"it was sent more than {longest.days} days ago, and may have taken effect before"
        if message.time > now + MOST_AHEAD:
            # It would still count as young when the inbox has forgotten it.
            self._clocks.note([message], now)
            minutes = MOST_AHEAD // dt.timedelta(minutes=1)
            return f"its time is more than {minutes} minutes ahead of this service's clock"
        return None

    def _apply(self, batch: Sequence[_Decoded[M]]) -> None:
        now = self._clock.now()
        with self._database.write(durable=self._durable) as transaction:
            identities = [EventIdentity(one.message.source, one.message.id) for one in batch]
            fresh = self._deduplicator.admit(transaction, self.consumer, identities, now)
            messages = []
            for identity, one in zip(identities, batch, strict=True):
                # a message that occurs twice in one batch takes effect once
                if identity in fresh:
                    fresh.remove(identity)
                    messages.append(one.message)
            if messages:
                self._outbox.add(transaction, self._handler(transaction, messages, now))
        self._metrics.consumed.labels(self.consumer, "applied").inc(len(messages))
        self._metrics.consumed.labels(self.consumer, "known").inc(len(batch) - len(messages))
        self._metrics.batch_size.labels(self.consumer).observe(len(batch))
        self._spans.handled(self.consumer, messages, result="applied", started=now, ended=self._clock.now())

    def _apply_alone(self, one: _Decoded[M], *, attempts: int) -> list[_Hopeless]:
        try:
            self._apply([one])
        except DatabaseUnavailable:
            raise
        except Unavailable as error:
            if attempts + 1 >= MOST_ATTEMPTS:
                return [_Hopeless(delivery=one.delivery, reason=reason_of(error), message=one.message)]
            with self._database.write() as transaction:
                self._retries.postpone(
                    transaction,
                    replace(one.delivery, message_id=_retry_row(one, attempts)),
                    attempts=attempts + 1,
                    reason=reason_of(error),
                    now=self._clock.now(),
                )
            self._metrics.consumed.labels(self.consumer, "postponed").inc()
        except Exception as error:  # noqa: BLE001 - dead-letters a poison message
            return [_Hopeless(delivery=one.delivery, reason=reason_of(error), message=one.message)]
        else:
            if attempts:
                with self._database.write() as transaction:
                    self._retries.settle(transaction, one.delivery.message_id)
        return []

    def _park(self, hopeless: Sequence[_Hopeless], *, retried: bool = False) -> None:
        # Called after all other messages: a database that keeps failing a batch dead-letters none of it.
        turn = Turn()
        for one in hopeless:
            turn.end_if_over()
            now = self._clock.now()
            message = dead_letter_of(one.delivery, consumer=self.consumer, reason=one.reason, now=now)
            with self._database.write() as transaction:
                # Through the outbox, so that the message is in our database before it leaves its queue.
                self._outbox.add(transaction, [message])
                if retried:
                    self._retries.settle(transaction, one.delivery.message_id)
            self._metrics.consumed.labels(self.consumer, "parked").inc()
            if one.message is not None:
                self._spans.handled(self.consumer, [one.message], result="parked", started=now, ended=now)
            _log.error("message dead-lettered", extra={"consumer": self.consumer, "reason": one.reason})


def _retry_row(one: _Decoded[Any], attempts: int) -> str:
    """Return the key of the message's row among the retries; `attempts` that have failed before this one.

    It is the identity in the event, as in the inbox, so that two messages never share a row. A message that
    is retried keeps its row, also one of an earlier build, which has the bare id.
    """
    if attempts:
        return one.delivery.message_id
    return EventIdentity(one.message.source, one.message.id).key
