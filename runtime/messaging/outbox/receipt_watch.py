"""The watch for events that audit does not receipt: reports them, and offers them to the log again.

An event is overdue when no receipt has come within the receipt time after the broker's confirm. It was
dropped or changed in transit, it is in the log's dead-letter queue, or audit is not working.
Offering it again is safe: it goes to the log's queue and to no other consumer, with the same id and bytes,
and the log appends an id once. So it needs no operator's decision. The warning stays for a day anyway,
because an attacker may have dropped the event.

During an outage of audit its queue still holds the events. So at most WINDOW messages are offered a minute,
those that were never offered first, and each again after a longer pause. After a day there can be millions of
copies: when there are more than MOST_COUNTED, they are counted and searched once a minute only.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from contracts.envelope import Envelope
from contracts.errors import Defect
from contracts.facts import EventsLogged
from contracts.topology import LOG, LOG_QUEUE
from runtime.clock import Clock
from runtime.messaging.inbox import KEPT
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.outbox.log_offers import REMEMBERED, LogOffers, add_offers, last_offers
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.unreceipted import Copy, Unreceipted
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database

_log = logging.getLogger(__name__)

WINDOW: Final = 200
BETWEEN_WINDOWS: Final = dt.timedelta(minutes=1)  # after as many as a window holds
LONGEST_PAUSE: Final = dt.timedelta(hours=4)
# A copy is given up at the age at which the other stores of messages forget theirs.
GIVEN_UP_AFTER: Final = KEPT
MOST_COUNTED: Final = 10_000
BETWEEN_COUNTS: Final = dt.timedelta(minutes=1)
# Log lines for one call of `look`; the metric counts the rest.
_MOST_LINES = 20


class ReceiptWatch:
    """The copies of one service's published events, from the relay to the receipt or the warning."""

    def __init__(
        self,
        *,
        service: str,
        database: Database,
        outbox: Outbox,
        clock: Clock,
        metrics: MessagingMetrics,
        receipt_time: dt.timedelta,
        wake: Callable[[], None],
    ) -> None:
        """receipt_time: how long a receipt may take. wake: wakes the relay."""
        self._service = service
        self._database = database
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self._receipt_time = receipt_time
        self._wake = wake
        self._copies = Unreceipted()
        self._messages = 0
        self._overdue = 0
        self._counted_at: dt.datetime | None = None
        self._oldest: dt.datetime | None = None
        self._offers: LogOffers | None = None
        self._next_offer_at = dt.datetime.min.replace(tzinfo=dt.UTC)

    def confirmed(self, transaction: Connection, messages: Sequence[Outgoing]) -> None:
        """Keep copies of confirmed messages, in the transaction that deletes them from the outbox."""
        self._copies.add(transaction, messages, self._clock.now())

    def receipts(
        self, transaction: Connection, messages: Sequence[Envelope], now: dt.datetime, /
    ) -> Sequence[Outgoing]:
        """Delete the copies that receipts name (a `batches.BatchHandler`)."""
        digests: list[str] = []
        for message in messages:
            fact = message.event().data
            if not isinstance(fact, EventsLogged) or fact.service != self._service:
                raise Defect("The message is not a receipt for this service.")
            digests += fact.digests
        self._copies.drop(transaction, digests, now)
        return ()

    def look(self) -> None:
        """Measure, and offer overdue events to the log again. Call it every second or so.

        Raises DatabaseUnavailable.
        """
        now = self._clock.now()
        with self._database.read() as transaction:
            self._offers = last_offers(transaction, now)
            oldest = self._copies.oldest(transaction)
            is_overdue = oldest is not None and oldest <= now - self._receipt_time
            if oldest is None:
                self._messages = self._overdue = 0
            elif self._is_count_due(now) or is_overdue != (self._overdue > 0):
                self._messages = self._copies.count(transaction)
                self._overdue = (
                    self._copies.count_before(transaction, now - self._receipt_time) if is_overdue else 0
                )
                self._counted_at = now
        self._oldest = oldest
        self._metrics.unreceipted.set(self._messages)
        age = 0.0 if oldest is None else (now - oldest).total_seconds()
        self._metrics.unreceipted_seconds.set(max(age, 0.0))
        if is_overdue and now >= self._next_offer_at and self._offer_again(now):
            self._wake()

    @property
    def is_waiting(self) -> bool:
        """Whether an event had no receipt at the last `look`."""
        return self._oldest is not None

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: overdue events, and those offered again within a day."""
        now = self._clock.now()
        texts = []
        if self._overdue and self._oldest is not None:
            minutes = (now - self._oldest).total_seconds() / 60
            texts.append(
                f"{self._overdue} published messages have no receipt from the log, "
                f"the oldest for {minutes:.0f} min"
            )
        if self._offers is not None and now - self._offers.last_at < REMEMBERED:
            texts.append(
                f"{self._offers.events} events were offered to the log again, "
                f"the last one at {self._offers.last_at:%Y-%m-%dT%H:%M:%SZ}"
            )
        return "; ".join(texts) or None

    def _is_count_due(self, now: dt.datetime) -> bool:
        if self._messages <= MOST_COUNTED or self._counted_at is None:
            return True
        return not self._counted_at <= now < self._counted_at + BETWEEN_COUNTS

    def _offer_again(self, now: dt.datetime) -> int:
        with self._database.write() as transaction:
            due = self._copies.due(transaction, now - self._receipt_time, now, WINDOW)
            given_up = [copy for copy in due if _is_given_up(copy, now)]
            # One by one: audit may have had only some events of a batch, and receipts name each.
            offered = [
                replace(event, offers=copy.offers + 1, due_at=now + self._pause_after(copy.offers + 1))
                for copy in due
                if not _is_given_up(copy, now)
                for event in copy.events()
            ]
            if len(due) == WINDOW or self._messages > MOST_COUNTED:
                # If the log is behind, its queue already has these events: do not flood it. The search reads
                # every copy.
                self._next_offer_at = now + BETWEEN_WINDOWS
            if not due:
                return 0
            self._copies.replace(transaction, due, offered)
            messages = [_offer(copy) for copy in offered]
            self._outbox.add(transaction, [message for message, _ in messages])
            if offered:
                add_offers(transaction, len(offered), now)
                self._offers = last_offers(transaction, now)
        _report("event without a receipt, offered to the log again", [event for _, event in messages])
        _report(
            "event given up: the log does not have it",
            [Envelope.decode(event.body) for copy in given_up for event in copy.events()],
        )
        self._metrics.offered_again.inc(len(offered))
        self._metrics.given_up.inc(sum(len(copy.events()) for copy in given_up))
        return len(offered)

    def _pause_after(self, offers: int) -> dt.timedelta:
        pause: dt.timedelta = self._receipt_time * 2 ** min(offers - 1, 20)
        return min(pause, max(LONGEST_PAUSE, self._receipt_time))


def _is_given_up(copy: Copy, now: dt.datetime) -> bool:
    # Only after an offer and its pause, so that a hub that was off, or has a wrong clock, offers a copy
    # first.
    return copy.offers > 0 and copy.published_at <= now - GIVEN_UP_AFTER


def _offer(copy: Copy) -> tuple[Outgoing, Envelope]:
    event = Envelope.decode(copy.body)
    message = Outgoing(
        exchange=LOG,
        routing_key=LOG_QUEUE,
        message_id=event.id,
        partition_key=event.partition_key,
        body=copy.body,
    )
    return message, event


def _report(text: str, events: Sequence[Envelope]) -> None:
    for event in events[:_MOST_LINES]:
        _log.error(text, extra={"event_type": event.type, "message_id": event.id})
    if len(events) > _MOST_LINES:
        _log.error("%s: more events", text, extra={"count": len(events) - _MOST_LINES})
