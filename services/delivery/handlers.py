"""Use cases of a mailbox: read, wait for messages, acknowledge, fetch a case, keep named consumers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from contracts.errors import KopuroError, Refused
from runtime.clock import Clock
from runtime.storage.change_poll import LONGEST_SECONDS
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit
from runtime.storage.pruning import prune
from services.delivery.delivery_records import (
    Acknowledger,
    DeliveryRecords,
    MarkDelivered,
    Results,
    consumer_acknowledgement,
)
from services.delivery.domain.consumer import MOST_CONSUMERS, NamedConsumer, still_needed, unknown_consumer
from services.delivery.domain.delivery import DeliveryEvent, step
from services.delivery.domain.selection import WAITING, Selection
from services.delivery.ports import (
    Closings,
    Consumers,
    Mailboxes,
    Notifier,
    PolledMessage,
    ReleasedCases,
    ReportClosings,
)

# Bytes of messages in one page; a single note may have a mebibyte.
PAGE_SIZE = 4 * 1024 * 1024
# How long ended offers, acceptances and referrals are remembered.
KEPT = dt.timedelta(days=30)
# How soon a message that a named consumer still needs is looked at again.
_NEXT_LOOK = dt.timedelta(days=1)


def mailbox_cursors(owner: str) -> str:
    """Return the scope of the cursors that the pages of one reader's mailbox have."""
    return f"mailbox {owner}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxPage:
    """A page of a mailbox.

    bodies: CloudEvents as stored, or what replaces a closed message, oldest first. last: the sequence after
    which the next page starts. more: whether messages after `last` are already waiting.
    """

    bodies: list[bytes]
    last: int
    more: bool


class MailboxHandlers:
    """The use cases of a mailbox. Safe for concurrent greenlets; concurrent calls share commits."""

    def __init__(
        self,
        *,
        source: str,
        database: Database,
        mailboxes: Mailboxes,
        consumers: Consumers,
        cases: ReleasedCases,
        closings: Closings,
        reports: ReportClosings,
        records: DeliveryRecords,
        notifier: Notifier,
        clock: Clock,
        after_commit: Callable[[], None],
        is_barred: Callable[[str], bool],
        messages_kept: dt.timedelta,
    ) -> None:
        """source: of the events that replace closed messages, such as `/kg/delivery`.

        after_commit: called when the outbox may have something to publish.

        is_barred: whether an organisation may no longer read cases released to it.

        messages_kept: how long a message is kept after its acknowledgement.
        """
        self._source = source
        self._database = database
        self._mailboxes = mailboxes
        self._consumers = consumers
        self._messages_kept = messages_kept
        self._cases = cases
        self._closings = closings
        self._reports = reports
        self._notifier = notifier
        self._clock = clock
        self._is_barred = is_barred
        self._steps = GroupCommit[MarkDelivered | Acknowledger, Results](
            database, records.write, after_commit=after_commit
        )

    def page(
        self,
        organization: str,
        *,
        after: int,
        limit: int,
        wait: float,
        shared: tuple[str, ...] = (),
        selection: Selection = WAITING,
        since: dt.datetime | None = None,
        reauthorize: Callable[[], object] | None = None,
    ) -> MailboxPage:
        """Return the organisation's selected messages with a sequence above `after`.

        shared: the mailboxes that it reads besides its own. since: no message that was queued at this time or
        later is skipped. wait: the longest time in seconds to wait for a message while there is none; ends
        early when the process stops. reauthorize: called after each wait; raises Refused if the caller may no
        longer read. The delivery of recorded messages is committed before this returns. Raises Refused
        `not-found` for an unknown consumer, and Unavailable.
        """
        mailboxes = tuple(dict.fromkeys((organization, *shared)))
        if since is not None or selection.consumer is not None:
            after, selection = self._start(organization, mailboxes, after, selection, since)
        messages, more, last = self._waiting(
            mailboxes, after=after, limit=limit, wait=wait, selection=selection, reauthorize=reauthorize
        )
        new = [
            m.sequence
            for m in messages
            if m.closed is None and step(m.type, m.state, DeliveryEvent.deliver) is not m.state
        ]
        if new:
            # Committed before the response is sent: if the response is lost, the message stays
            # unacknowledged and is delivered again. The recorded time is the earliest the organisation
            # could know of the message.
            self._steps.submit(MarkDelivered(sequences=new))
        return MailboxPage(
            bodies=[m.body if m.closed is None else m.closed.body(self._source) for m in messages],
            last=last,
            more=more,
        )

    def acknowledge(self, organization: str, message_id: str, *, shared: tuple[str, ...] = ()) -> None:
        """Acknowledge a message, so that it is not delivered again. Idempotent.

        Raises Refused `not-found` unless the message is in the organisation's own mailbox or a shared one,
        `conflict` for a recorded message that was never delivered, and Unavailable.
        """
        (result,) = self.acknowledge_all(organization, [message_id], shared=shared)
        if isinstance(result, KopuroError):
            raise result

    def acknowledge_all(
        self, organization: str, message_ids: Sequence[str], *, shared: tuple[str, ...] = ()
    ) -> Results:
        """Acknowledge messages in one transaction; return True or a refusal for each. Raises Unavailable."""
        if not message_ids:
            return ()
        return self._steps.submit(
            Acknowledger(organization=organization, message_ids=message_ids, shared=shared)
        )

    def case(self, organization: str, referral_id: str) -> str:
        """Return the case that was released to the organisation, sealed to it.

        Raises Refused `not-found`, and `forbidden` while the organisation is suspended, has left the
        network or is inactive.
        """
        if self._is_barred(organization):
            raise Refused("forbidden", "Only active and vetted organisations may read cases.")
        with self._database.read() as transaction:
            case = self._cases.case_for(transaction, referral_id, organization)
        if case is None:
            raise Refused("not-found", "No case of this referral has been released to you.")
        return case

    def forget_old(self) -> bool:
        """Delete some expired messages and closed referrals, and close due messages; return whether none is
        left.

        A message expires `messages_kept` after its acknowledgement, unless a named consumer still needs it.
        """
        now = self._clock.now()
        before = now - KEPT

        def messages(transaction: Connection, limit: int) -> int:
            expired = now - self._messages_kept
            old = self._mailboxes.old(transaction, expired, limit)
            consumers: dict[str, list[NamedConsumer]] = {}
            for consumer in self._consumers.all_of(transaction, {message.organization for message in old}):
                consumers.setdefault(consumer.organization, []).append(consumer)
            sequences = {message.sequence for message in old}
            needed = still_needed(
                old, consumers, self._consumers.acknowledged(transaction, sequences) if consumers else ()
            )
            self._mailboxes.keep(transaction, needed, expired + _NEXT_LOOK)
            self._mailboxes.delete(transaction, sequences - needed)
            return len(old)

        def cases(transaction: Connection, limit: int) -> int:
            return self._cases.forget(transaction, before, limit)

        def due(transaction: Connection, limit: int) -> int:
            return self._closings.close_due(transaction, now, limit)

        def offers(transaction: Connection, limit: int) -> int:
            return self._closings.forget(transaction, before, limit)

        def opted_out(transaction: Connection, limit: int) -> int:
            return self._reports.close_opted_out(transaction, limit)

        def reports(transaction: Connection, limit: int) -> int:
            return self._reports.forget(transaction, ended=before, expired=now, limit=limit)

        # Each of them in every run, however many of the others remain.
        turns = (due, opted_out, messages, cases, offers, reports)
        finished = [prune(self._database, each) for each in turns]
        return all(finished)

    def clean(self) -> bool:
        """Run `forget_old`; return whether one is left, or becomes due within LONGEST_SECONDS."""
        if not self.forget_old():
            return True
        with self._database.read() as transaction:
            soon = self._clock.now() + dt.timedelta(seconds=LONGEST_SECONDS)
            return self._closings.is_due(transaction, soon)

    def _start(
        self,
        organization: str,
        mailboxes: tuple[str, ...],
        after: int,
        selection: Selection,
        since: dt.datetime | None,
    ) -> tuple[int, Selection]:
        """Return the sequence to read after, and the selection with the consumer's own types."""
        with self._database.read() as transaction:
            if since is not None:
                after = max(after, self._mailboxes.sequence_before(transaction, mailboxes, since))
            if selection.consumer is None:
                return after, selection
            consumer = self._consumers.one(transaction, organization, selection.consumer)
        if consumer is None:
            raise unknown_consumer()
        return max(after, consumer.position), replace(selection, types=consumer.selected(selection.types))

    def _waiting(
        self,
        mailboxes: tuple[str, ...],
        *,
        after: int,
        limit: int,
        wait: float,
        selection: Selection,
        reauthorize: Callable[[], object] | None,
    ) -> tuple[list[PolledMessage], bool, int]:
        """Return messages, whether more follow, and the sequence up to which the mailboxes were read."""
        deadline = time.monotonic() + wait
        with self._notifier.listening(*mailboxes) as subscription:
            while True:
                # Cleared before reading: a message that arrives during the read sets it again.
                subscription.clear()
                with self._database.read() as transaction:
                    # Messages of other types are passed only once. Read first: later messages are above it.
                    newest = self._mailboxes.newest(transaction, mailboxes) if selection.types else after
                    messages, more = self._mailboxes.waiting(
                        transaction, mailboxes, after=after, limit=limit, size=PAGE_SIZE, selection=selection
                    )
                left = deadline - time.monotonic()
                after = messages[-1].sequence if messages else max(after, newest)
                if messages or left <= 0 or self._notifier.stopped:
                    return messages, more, after
                subscription.wait(left)
                # The organisation may have been suspended meanwhile, or its credentials revoked.
                if reauthorize is not None:
                    reauthorize()


class ConsumerHandlers:
    """The use cases of named consumers. Each is one transaction; all raise Unavailable."""

    def __init__(
        self, *, database: Database, mailboxes: Mailboxes, consumers: Consumers, clock: Clock
    ) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._consumers = consumers
        self._clock = clock

    def all_of(self, organization: str) -> list[tuple[NamedConsumer, dt.datetime | None]]:
        """Return the consumers by name, each with the time since when a message waits for it."""
        with self._database.read() as transaction:
            return [
                (consumer, self._consumers.waiting_since(transaction, consumer))
                for consumer in self._consumers.all_of(transaction, [organization])
            ]

    def put(
        self,
        organization: str,
        name: str,
        *,
        types: Sequence[str] | None,
        contract: str | None,
        start: int | dt.datetime | None,
    ) -> tuple[NamedConsumer, dt.datetime | None]:
        """Create or change a consumer. None leaves a setting as it is.

        start: where it reads next, a sequence to read after or a time.
        Without a start a new consumer begins with the oldest message that is kept, and another one continues.
        Raises Refused `conflict` for one consumer too many.
        """
        with self._database.write() as transaction:
            # One at a time, so that two requests do not both create the last consumer.
            self._mailboxes.serialise(transaction)
            existing = self._consumers.one(transaction, organization, name, lock=True)
            if (
                existing is None
                and len(self._consumers.all_of(transaction, [organization])) >= MOST_CONSUMERS
            ):
                raise Refused("conflict", f"An organisation has at most {MOST_CONSUMERS} consumers.")
            consumer = existing or NamedConsumer(
                organization=organization, name=name, position=0, created_at=self._clock.now()
            )
            if types is not None:
                consumer = replace(consumer, types=tuple(types))
            if contract is not None:
                consumer = replace(consumer, contract=contract)
            if start is not None:
                before = (
                    self._mailboxes.sequence_before(transaction, (organization,), start)
                    if isinstance(start, dt.datetime)
                    else start
                )
                newest = self._mailboxes.newest(transaction, (organization,))
                # A later message would be skipped when it arrives, if the start were above the newest.
                consumer = replace(consumer, position=min(before, newest))
                self._consumers.restart(transaction, consumer, consumer.position)
            self._consumers.put(transaction, consumer)
        # Not called while arriving messages wait for the lock, because it may look at the whole mailbox.
        with self._database.read() as transaction:
            return consumer, self._consumers.waiting_since(transaction, consumer)

    def remove(self, organization: str, name: str) -> None:
        """Delete a consumer. Raises Refused `not-found`."""
        with self._database.write() as transaction:
            if not self._consumers.remove(transaction, organization, name):
                raise unknown_consumer()

    def acknowledge_all(self, organization: str, name: str, message_ids: Sequence[str]) -> Results:
        """Acknowledge messages for a consumer; return True or a refusal for each.

        Neither the default consumer nor another one is affected, and audit records nothing. Raises Refused
        `not-found` for an unknown consumer.
        """
        with self._database.write() as transaction:
            consumer = self._consumers.one(transaction, organization, name, lock=True)
            if consumer is None:
                raise unknown_consumer()
            entries = self._mailboxes.take(
                transaction, sequences=[], organizations=[organization], message_ids=set(message_ids)
            )
            found = {entry.message_id: entry for entry in entries}
            results = [consumer_acknowledgement(found.get(message_id)) for message_id in message_ids]
            done = [
                found[message_id].sequence
                for message_id, result in zip(message_ids, results, strict=True)
                if result is True
            ]
            self._consumers.acknowledge(transaction, consumer, done)
        return results
