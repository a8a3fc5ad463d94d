"""What an organisation does at its mailbox: look into it, wait at it, acknowledge, fetch a case."""

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
from services.delivery.bookkeeping import Acknowledgement, Bookkeeping, HandOut, Results
from services.delivery.domain.delivery import DeliveryEvent, step
from services.delivery.ports import Mailboxes, Notifier, ReleasedCases, Waiting

# Bytes of messages in one page: a mailbox may hold notes of a mebibyte each.
PAGE_SIZE = 4 * 1024 * 1024
KEPT = dt.timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxPage:
    """bodies: CloudEvents as they were stored, oldest first. last: the sequence to go on after.

    more: whether messages after `last` are waiting already.
    """

    bodies: list[bytes]
    last: int
    more: bool


class MailboxHandlers:
    """Safe to call from any number of greenlets. Concurrent calls share their commits."""

    def __init__(
        self,
        *,
        database: Database,
        mailboxes: Mailboxes,
        cases: ReleasedCases,
        bookkeeping: Bookkeeping,
        notifier: Notifier,
        clock: Clock,
        after_commit: Callable[[], None],
        is_barred: Callable[[str], bool],
    ) -> None:
        """after_commit: called when the outbox may have something to publish.

        is_barred: whether an organisation may no longer read the cases that it holds.
        """
        self._database = database
        self._mailboxes = mailboxes
        self._cases = cases
        self._notifier = notifier
        self._clock = clock
        self._is_barred = is_barred
        self._steps = GroupCommit[HandOut | Acknowledgement, Results](
            database, bookkeeping.write, after_commit=after_commit
        )

    def page(
        self, organization: str, *, after: int, limit: int, wait: float, shared: tuple[str, ...] = ()
    ) -> MailboxPage:
        """The organisation's unacknowledged messages with a sequence above `after`.

        shared: the mailboxes that it reads besides its own.

        wait: seconds to hold an empty answer; less when something comes, or the process is ending.
        When this returns, it is on record that the messages which audit follows were handed out. Raises
        Unavailable.
        """
        mailboxes = tuple(dict.fromkeys((organization, *shared)))
        messages, more = self._waiting(mailboxes, after=after, limit=limit, wait=wait)
        new = [m.sequence for m in messages if step(m.type, m.state, DeliveryEvent.hand_out) is not m.state]
        if new:
            # Handed out on record, not yet sent: if the answer is lost here, the message is still
            # unacknowledged and comes again; on record is the moment from which the organisation could know.
            self._steps.submit(HandOut(sequences=new))
        return MailboxPage(
            bodies=[message.body for message in messages],
            last=messages[-1].sequence if messages else after,
            more=more,
        )

    def acknowledge(self, organization: str, message_id: str, *, shared: tuple[str, ...] = ()) -> None:
        """The message does not come again. Repeatable.

        Raises Refused `not-found` unless the message is in the organisation's own mailbox or a shared one,
        `conflict` when audit follows it and it was never handed out, and Unavailable.
        """
        (result,) = self.acknowledge_all(organization, [message_id], shared=shared)
        if isinstance(result, KopuroError):
            raise result

    def acknowledge_all(
        self, organization: str, message_ids: Sequence[str], *, shared: tuple[str, ...] = ()
    ) -> Results:
        """The same for many messages in one transaction: for each True, or why not. Raises Unavailable."""
        if not message_ids:
            return ()
        return self._steps.submit(
            Acknowledgement(organization=organization, message_ids=message_ids, shared=shared)
        )

    def case(self, organization: str, referral_id: str) -> str:
        """The case that was released to the organisation, sealed to it.

        Raises Refused `not-found`, and `forbidden` while the organisation is suspended, has left the
        network or is inactive.
        """
        if self._is_barred(organization):
            raise Refused("forbidden", "Only active and vetted organisations may read a case.")
        with self._database.read() as transaction:
            case = self._cases.case_for(transaction, referral_id, organization)
        if case is None:
            raise Refused("not-found", "No case of this referral lies here for you.")
        return case

    def forget_old(self) -> bool:
        """A turn of deleting what was acknowledged or closed long ago; whether nothing of it is left."""
        before = self._clock.now() - KEPT

        def messages(transaction: Connection, limit: int) -> int:
            return self._mailboxes.forget(transaction, before, limit)

        def cases(transaction: Connection, limit: int) -> int:
            return self._cases.forget(transaction, before, limit)

        # Both in every turn, however many messages there are.
        no_message_left = prune(self._database, messages)
        return prune(self._database, cases) and no_message_left

    def _waiting(
        self, mailboxes: tuple[str, ...], *, after: int, limit: int, wait: float
    ) -> tuple[list[Waiting], bool]:
        deadline = time.monotonic() + wait
        with self._notifier.listening(*mailboxes) as ring:
            while True:
                # Cleared before the look: what comes after it rings.
                ring.clear()
                with self._database.read() as transaction:
                    messages, more = self._mailboxes.waiting(
                        transaction, mailboxes, after=after, limit=limit, size=PAGE_SIZE
                    )
                left = deadline - time.monotonic()
                if messages or left <= 0 or self._notifier.stopped:
                    return messages, more
                ring.wait(left)
