"""Receipts to the authors of events: which of them are in the published log.

A service keeps a copy of each event that it has published until it gets this receipt
(`runtime.messaging.outbox.unreceipted`). The receipt names the digest of the bytes that the author signed, so
an event that was changed in transit gets none.

The crash points of a receipt, in order:

1. *appended, receipt noted*: one transaction. The receipt is due when a published checkpoint covers the
   entry.
2. *published, not yet sent*: the next turn sends it.
3. *taken and in the outbox*: one transaction. It need not be durable: after a loss of power the receipt is
   due again, and a second receipt has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from contracts import base64_text
from contracts.envelope import Envelope, Event
from contracts.facts import EventsLogged
from contracts.facts.recorded import MOST_LOGGED
from contracts.topology import RECEIPT_QUEUES, RECEIPTS
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures.statement import digest
from runtime.storage.database import Database
from services.audit.log.handlers.published_log import PublishedLog
from services.audit.log.ports import DueReceipt, DueReceipts

TAKEN_AT_A_TIME: Final = 500


def receipts_for(messages: Sequence[Envelope], size: int) -> list[DueReceipt]:
    """Return the receipts that the authors of these events get once the published log has `size` entries.

    Operators' commands keep no copy and get no receipt. Cover entries are not events and have no bytes.
    """
    digests: dict[str, list[bytes]] = {}
    for message in messages:
        author = message.source.rpartition("/")[2]
        if message.body and author in RECEIPT_QUEUES:
            digests.setdefault(author, []).append(digest(message.body))
    return [DueReceipt(size=size, author=author, digests=found) for author, found in digests.items()]


class AuthorReceipts:
    """Sends the receipts that are due. `turn` is called periodically, never concurrently."""

    def __init__(
        self,
        *,
        database: Database,
        due: DueReceipts,
        published: PublishedLog,
        works: Callable[[], bool],
        outbox: Outbox,
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        """works: whether this process publishes the log. source: of audit's events. after_commit: wakes the
        relay.
        """
        self._database = database
        self._due = due
        self._published = published
        self._works = works
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._after_commit = after_commit

    def turn(self) -> None:
        """Send what the published checkpoint has made due: one message to each author, or several to limit
        their size. Raises Unavailable.
        """
        size = self._published.size
        if not self._works():
            return
        with self._database.read() as transaction:
            are_due = self._due.are_due(transaction, size)
        while are_due:
            with self._database.write(durable=False) as transaction:
                taken = self._due.take(transaction, size, TAKEN_AT_A_TIME)
                self._outbox.add(transaction, self._messages(taken, size))
            self._after_commit()
            are_due = len(taken) == TAKEN_AT_A_TIME

    def _messages(self, taken: Sequence[DueReceipt], size: int) -> list[Outgoing]:
        by_author: dict[str, list[bytes]] = {}
        for one in taken:
            by_author.setdefault(one.author, []).extend(one.digests)
        return [
            self._message(author, digests[at : at + MOST_LOGGED], size)
            for author, digests in by_author.items()
            for at in range(0, len(digests), MOST_LOGGED)
        ]

    def _message(self, author: str, digests: Sequence[bytes], size: int) -> Outgoing:
        number = new_id()
        event = Event(
            id=number,
            source=self._source,
            time=self._clock.now(),
            partition_key=author,
            correlation_id=number,
            causation_id=None,
            data=EventsLogged(
                service=author, size=size, digests=tuple([base64_text.encoded(one) for one in digests])
            ),
        )
        # Not through the events exchange: an entry for each receipt would need a receipt.
        message = outgoing(event)
        return Outgoing(
            exchange=RECEIPTS,
            routing_key=RECEIPT_QUEUES[author],
            message_id=message.message_id,
            partition_key=message.partition_key,
            body=message.body,
        )
