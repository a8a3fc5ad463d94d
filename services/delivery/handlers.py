"""Use cases of a mailbox: read, wait for messages, acknowledge, fetch a case."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from contracts.errors import KopuroError, Refused
from runtime.clock import Clock
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit
from runtime.storage.pruning import prune
from services.delivery.delivery_records import Acknowledgement, DeliveryRecords, MarkDelivered, Results
from services.delivery.domain.delivery import DeliveryEvent, step
from services.delivery.ports import Closings, Mailboxes, Notifier, ReleasedCases, Waiting

# Bytes of messages in one page; a single note may have a mebibyte.
PAGE_SIZE = 4 * 1024 * 1024
# The scope of the cursors that a mailbox's pages have.
MAILBOX = "mailbox"
KEPT = dt.timedelta(days=30)


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
        cases: ReleasedCases,
        closings: Closings,
        records: DeliveryRecords,
        notifier: Notifier,
        clock: Clock,
        after_commit: Callable[[], None],
        is_barred: Callable[[str], bool],
    ) -> None:
        """source: of the events that replace closed messages, such as `/kg/delivery`.

        after_commit: called when the outbox may have something to publish.

        is_barred: whether an organisation may no longer read cases released to it.
        """
        self._source = source
        self._database = database
        self._mailboxes = mailboxes
        self._cases = cases
        self._closings = closings
        self._notifier = notifier
        self._clock = clock
        self._is_barred = is_barred
        self._steps = GroupCommit[MarkDelivered | Acknowledgement, Results](
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
        reauthorize: Callable[[], object] | None = None,
    ) -> MailboxPage:
        """Return the organisation's unacknowledged messages with a sequence above `after`.

        shared: the mailboxes that it reads besides its own. wait: the longest time in seconds to wait for a
        message while there is none; ends early when the process stops. reauthorize: called after each wait;
        raises Refused if the caller may no longer read. The delivery of recorded messages is committed
        before this returns. Raises Unavailable.
        """
        mailboxes = tuple(dict.fromkeys((organization, *shared)))
        messages, more = self._waiting(
            mailboxes, after=after, limit=limit, wait=wait, reauthorize=reauthorize
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
            last=messages[-1].sequence if messages else after,
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
            Acknowledgement(organization=organization, message_ids=message_ids, shared=shared)
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
        """
        now = self._clock.now()
        before = now - KEPT

        def messages(transaction: Connection, limit: int) -> int:
            return self._mailboxes.forget(transaction, before, limit)

        def cases(transaction: Connection, limit: int) -> int:
            return self._cases.forget(transaction, before, limit)

        def due(transaction: Connection, limit: int) -> int:
            return self._closings.close_due(transaction, now, limit)

        def offers(transaction: Connection, limit: int) -> int:
            return self._closings.forget(transaction, before, limit)

        # Each of them in every run, however many of the others remain.
        finished = [prune(self._database, each) for each in (due, messages, cases, offers)]
        return all(finished)

    def _waiting(
        self,
        mailboxes: tuple[str, ...],
        *,
        after: int,
        limit: int,
        wait: float,
        reauthorize: Callable[[], object] | None,
    ) -> tuple[list[Waiting], bool]:
        deadline = time.monotonic() + wait
        with self._notifier.listening(*mailboxes) as subscription:
            while True:
                # Cleared before reading: a message that arrives during the read sets it again.
                subscription.clear()
                with self._database.read() as transaction:
                    messages, more = self._mailboxes.waiting(
                        transaction, mailboxes, after=after, limit=limit, size=PAGE_SIZE
                    )
                left = deadline - time.monotonic()
                if messages or left <= 0 or self._notifier.stopped:
                    return messages, more
                subscription.wait(left)
                # The organisation may have been suspended meanwhile, or its credentials revoked.
                if reauthorize is not None:
                    reauthorize()
