"""What happens to a batch of deliveries between taking and acknowledging.

One transaction holds the inbox rows (but for audit, whose log is its inbox), the handler's state and its
outbox rows. When it fails, the batch is replayed one by one, so that only the message at fault is parked and
its neighbours pass.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from contracts.errors import Unavailable
from contracts.records import Malformed
from runtime.clock import Clock
from runtime.messaging.clocks import Clocks
from runtime.messaging.dead_letters.dead_letter import dead_letter_of, reason_of
from runtime.messaging.inbox import Deduplicator, Inbox
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.retries import MOST_ATTEMPTS, Retries
from runtime.messaging.tables import MessagingTables
from runtime.storage.database import Database, DatabaseUnavailable

_log = logging.getLogger(__name__)


class Identified(Protocol):
    """What a decoded message must have: the id that the inbox knows it by."""

    @property
    def id(self) -> str: ...


M = TypeVar("M", bound=Identified)
M_contra = TypeVar("M_contra", bound=Identified, contravariant=True)


class BatchHandler(Protocol[M_contra]):
    """A use case for a batch: reads and writes through the transaction, returns what follows from it.

    Raises Unavailable for a message that cannot be processed *yet*: it is tried again later, and parked
    when that has been tried often enough. Any other exception parks the message at once.
    """

    def __call__(
        self, transaction: Connection, messages: Sequence[M_contra], now: dt.datetime, /
    ) -> Iterable[Outgoing]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decoded(Generic[M]):
    delivery: Delivery
    message: M


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hopeless:
    """To be parked, and why."""

    delivery: Delivery
    reason: str


class BatchProcessor(Generic[M]):
    """A consumer of one queue or several, without its connection."""

    def __init__(
        self,
        consumer: str,
        queues: Sequence[str],
        *,
        database: Database,
        tables: MessagingTables,
        decode: Callable[[bytes], M],
        handler: BatchHandler[M],
        clock: Clock,
        metrics: MessagingMetrics,
        after_commit: Callable[[], None],
        deduplicator: Deduplicator | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """consumer: its name in the inbox, in the figures, and before `.parked`. doorkeeper: the inbox, if
        nothing else is said. clocks: is shown the times of what arrives."""
        self.consumer = consumer
        self.queues = queues
        self._database = database
        self._deduplicator = deduplicator or Inbox(tables.inbox)
        self._outbox = Outbox(tables.outbox)
        self._retries = Retries(tables.retries, consumer)
        self._decode = decode
        self._handler = handler
        self._clock = clock
        self._metrics = metrics
        self._after_commit = after_commit
        self._clocks = clocks or Clocks()

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Returns when each delivery has taken effect, was known, is parked or waits for a retry.

        Only then may they be acknowledged. Raises DatabaseUnavailable: none of that is certain then.
        """
        decoded, hopeless = self._decoded(deliveries)
        self._clocks.note((one.message for one in decoded), self._clock.now())
        try:
            self._apply(decoded)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, it may concern one message only
            if len(decoded) > 1:
                _log.warning("batch failed, replaying one by one", extra={"reason": reason_of(error)})
            for one in decoded:
                hopeless += self._apply_alone(one, attempts=0)
        self._park(hopeless)
        self._after_commit()

    def retry_due(self, limit: int = 100) -> int:
        """Processes what is due again; returns how many messages that were."""
        now = self._clock.now()
        with self._database.read() as transaction:
            due = self._retries.due(transaction, now, limit)
        for retry in due:
            decoded, hopeless = self._decoded([retry.delivery])
            for one in decoded:
                hopeless += self._apply_alone(one, attempts=retry.attempts)
            self._park(hopeless, retried=True)
        if due:
            self._after_commit()
        return len(due)

    def _decoded(self, deliveries: Sequence[Delivery]) -> tuple[list[_Decoded[M]], list[_Hopeless]]:
        decoded, hopeless = [], []
        for delivery in deliveries:
            try:
                message = self._decode(delivery.body)
            except Malformed as error:
                hopeless.append(_Hopeless(delivery=delivery, reason=reason_of(error)))
                continue
            if delivery.message_id != message.id:
                # the id within counts, which the inbox knows: two messages never share a retry row
                delivery = replace(delivery, message_id=message.id)
            decoded.append(_Decoded(delivery=delivery, message=message))
        return decoded, hopeless

    def _apply(self, batch: Sequence[_Decoded[M]]) -> None:
        now = self._clock.now()
        with self._database.write() as transaction:
            ids = [one.message.id for one in batch]
            fresh = self._deduplicator.admit(transaction, self.consumer, ids, now)
            messages = []
            for one in batch:
                # a message that stands twice in one batch takes effect once
                if one.message.id in fresh:
                    fresh.remove(one.message.id)
                    messages.append(one.message)
            if messages:
                self._outbox.add(transaction, self._handler(transaction, messages, now))
        self._metrics.consumed.labels(self.consumer, "applied").inc(len(messages))
        self._metrics.consumed.labels(self.consumer, "known").inc(len(batch) - len(messages))
        self._metrics.batch_size.labels(self.consumer).observe(len(batch))

    def _apply_alone(self, one: _Decoded[M], *, attempts: int) -> list[_Hopeless]:
        try:
            self._apply([one])
        except DatabaseUnavailable:
            raise
        except Unavailable as error:
            if attempts + 1 >= MOST_ATTEMPTS:
                return [_Hopeless(delivery=one.delivery, reason=reason_of(error))]
            with self._database.write() as transaction:
                self._retries.postpone(
                    transaction,
                    one.delivery,
                    attempts=attempts + 1,
                    reason=reason_of(error),
                    now=self._clock.now(),
                )
            self._metrics.consumed.labels(self.consumer, "postponed").inc()
        except Exception as error:  # noqa: BLE001 - this is where a poison message is taken aside
            return [_Hopeless(delivery=one.delivery, reason=reason_of(error))]
        else:
            if attempts:
                with self._database.write() as transaction:
                    self._retries.settle(transaction, one.delivery.message_id)
        return []

    def _park(self, hopeless: Sequence[_Hopeless], *, retried: bool = False) -> None:
        # After all that can take effect: a database that fails a batch again and again parks nothing of it.
        for one in hopeless:
            now = self._clock.now()
            message = dead_letter_of(one.delivery, consumer=self.consumer, reason=one.reason, now=now)
            with self._database.write() as transaction:
                # Through the outbox: the message is in our database before it leaves its queue.
                self._outbox.add(transaction, [message])
                if retried:
                    self._retries.settle(transaction, one.delivery.message_id)
            self._metrics.consumed.labels(self.consumer, "parked").inc()
            _log.error("message parked", extra={"consumer": self.consumer, "reason": one.reason})
