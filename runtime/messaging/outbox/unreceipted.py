"""Copies of published events that audit has not receipted yet.

The log must hold every event on the events exchange. Its author keeps a copy from the broker's confirm until
audit's receipt (`events.logged`), which names the digest of the event's bytes and is sent only once a
published checkpoint covers the entry. So an event that is dropped or changed in transit is noticed.

The crash points of a copy, in order:

1. *confirmed, not yet copied*: the outbox row still exists, because one transaction deletes it and writes the
   copy. The event is published again; audit recognises it and sends another receipt.
2. *copied, not yet receipted*: the receipt waits in its queue.
3. *receipted, copy not yet deleted*: the receipt is delivered again. After a loss of power the copy may be
   back; then it is offered to the log again, and audit sends another receipt.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from contracts import base64_text
from contracts.quick_init import quick_init
from contracts.topology import EVENTS
from runtime.messaging.outbox.event_batch import decode_batch, joined
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures import statement
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement

# Receipts without a copy are remembered this long, and at most this many: the copy may be written next.
EARLY_KEPT: Final = dt.timedelta(minutes=1)
MOST_EARLY: Final = 20_000
# The messages whose digests are kept in memory until their receipt; each has 64 events at most.
MOST_REMEMBERED: Final = 1_000

_ADD = SqlStatement(
    "INSERT INTO unreceipted (digest, partition_key, body, published_at, offers, due_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING"
)
_FIND = SqlStatement(
    "SELECT number, partition_key, body, published_at, offers, due_at FROM unreceipted WHERE digest = ANY (?)"
    " ORDER BY number"
)
_DELETE = SqlStatement("DELETE FROM unreceipted WHERE number = ANY (?)")
_DELETE_WHOLE = SqlStatement("DELETE FROM unreceipted WHERE digest = ANY (?) RETURNING digest, length(body)")
_COUNT = SqlStatement("SELECT count(*) FROM unreceipted")
# A statement of its own: beside count(*), min() does not use the index.
_OLDEST = SqlStatement("SELECT min(published_at) FROM unreceipted")
_COUNT_BEFORE = SqlStatement("SELECT count(*) FROM unreceipted WHERE published_at <= ?")
# Those never offered come first, so that copies that can never be logged do not delay the others.
_DUE = SqlStatement(
    "SELECT number, partition_key, body, published_at, offers, due_at FROM unreceipted"
    " WHERE published_at <= ? AND due_at <= ? ORDER BY offers, published_at, number LIMIT ?",
    postgresql="FOR UPDATE SKIP LOCKED",
)


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One published message: an event or an event batch. body: its bytes.

    published_at: the time of the broker's confirm. offers: how often it was offered to the log again; due_at:
    when it may be offered next.
    """

    number: int = 0
    partition_key: str
    body: bytes
    published_at: dt.datetime
    offers: int = 0
    due_at: dt.datetime

    def events(self) -> list[Copy]:
        """Return a copy for each event in the message."""
        return [
            Copy(
                partition_key=self.partition_key,
                body=body,
                published_at=self.published_at,
                offers=self.offers,
                due_at=self.due_at,
            )
            for body in decode_batch(self.body)
        ]


def digest_text(event: bytes) -> str:
    """Return the digest of an event's bytes as a receipt names it."""
    return base64_text.encoded(statement.digest(event))


class Unreceipted:
    """The copies in a service's database, in its table `unreceipted`.

    The relay and the consumer of receipts share one instance: a receipt may overtake the transaction that
    writes the copy. If another process has the relay, such a copy stays until it is offered again.

    The instance remembers the digests of the events in each copy that it has written. So a receipt for a
    whole message deletes its copy unread; any other receipt reads the copies that it names.
    """

    def __init__(self) -> None:
        self._early: dict[str, dt.datetime] = {}
        # Maps the digest of the first event, which is the copy's key, to the digests of all its events and
        # its size.
        self._written: dict[str, tuple[tuple[str, ...], int]] = {}

    def add(self, transaction: Connection, messages: Iterable[Outgoing], now: dt.datetime) -> None:
        """Keep the messages that the log must hold, in the transaction that deletes their outbox rows."""
        copies: list[tuple[str, Copy]] = []
        for message in messages:
            if message.exchange != EVENTS:
                continue
            digests, body = self._without_early(message)
            if not digests:
                continue
            copy = Copy(partition_key=message.partition_key, body=body, published_at=now, due_at=now)
            copies.append((digests[0], copy))
            self._remember(digests, len(body))
        self._insert(transaction, copies)

    def drop(self, transaction: Connection, digests: Sequence[str], now: dt.datetime) -> None:
        """Delete the copies of receipted events. Repeatable."""
        receipted = dict.fromkeys(digests, now)
        early = dict(receipted)
        whole = {
            first: written
            for first in receipted
            if (written := self._written.get(first)) is not None
            and all(digest in receipted for digest in written[0])
        }
        if whole:
            # A copy is not returned if its transaction was rolled back: its receipt is early then. While
            # PostgreSQL works, the relay may add copies, and the memory forget these.
            for first, size in _DELETE_WHOLE.run(transaction, list(whole)).all():
                events, written_size = whole[first]
                self._written.pop(first, None)
                # Another size: the copy was replaced, and its other events may have copies of their own.
                for digest in events if size == written_size else (first,):
                    early.pop(digest, None)
        copies = _copies(_FIND.run(transaction, list(early))) if early else []
        if copies:
            _DELETE.run(transaction, [copy.number for copy in copies])
            rest: list[tuple[str, Copy]] = []
            for copy in copies:
                of_copy = {digest_text(event): event for event in decode_batch(copy.body)}
                left = [event for digest, event in of_copy.items() if digest not in receipted]
                if left:
                    # Audit had only some events of the batch; the others await another receipt.
                    rest.append((digest_text(left[0]), replace(copy, number=0, body=joined(left))))
                for digest in of_copy:
                    early.pop(digest, None)
            self._insert(transaction, rest)
        self._note_early(early, now)

    def oldest(self, transaction: Connection) -> dt.datetime | None:
        """Return when the oldest message without a receipt was published. Costs the same for any number."""
        oldest = _OLDEST.run(transaction).scalar_one()
        return None if oldest is None else moment_of(oldest)

    def count(self, transaction: Connection) -> int:
        """Return the number of messages without a receipt; a batch counts as one. Reads every one."""
        count: int = _COUNT.run(transaction).scalar_one()
        return count

    def count_before(self, transaction: Connection, moment: dt.datetime) -> int:
        """Return the number of messages published until then that have no receipt."""
        count: int = _COUNT_BEFORE.run(transaction, microseconds(moment)).scalar_one()
        return count

    def due(
        self, transaction: Connection, published_before: dt.datetime, now: dt.datetime, limit: int
    ) -> list[Copy]:
        """Return copies that are due, those with the fewest offers first; lock them for this transaction."""
        return _copies(_DUE.run(transaction, microseconds(published_before), microseconds(now), limit))

    def replace(self, transaction: Connection, old: Sequence[Copy], new: Sequence[Copy]) -> None:
        """Replace copies by others."""
        _DELETE.run(transaction, [copy.number for copy in old])
        self._insert(transaction, [(digest_text(decode_batch(copy.body)[0]), copy) for copy in new])

    def _note_early(self, digests: Mapping[str, dt.datetime], now: dt.datetime) -> None:
        self._early.update(digests)
        while self._early:
            digest, since = next(iter(self._early.items()))
            if len(self._early) <= MOST_EARLY and since > now - EARLY_KEPT:
                break
            del self._early[digest]

    def _without_early(self, message: Outgoing) -> tuple[tuple[str, ...], bytes]:
        """Return the digests of the events that have no receipt yet, and a body with these events."""
        if message.digests:
            digests = tuple([base64_text.encoded(one) for one in message.digests])
        else:
            digests = tuple([digest_text(event) for event in decode_batch(message.body)])
        if self._early.keys().isdisjoint(digests):
            return digests, message.body
        events = zip(digests, decode_batch(message.body), strict=True)
        left = [(digest, event) for digest, event in events if digest not in self._early]
        return tuple([digest for digest, _ in left]), joined([event for _, event in left]) if left else b""

    def _remember(self, digests: tuple[str, ...], size: int) -> None:
        self._written.pop(digests[0], None)  # the newest is the last
        self._written[digests[0]] = digests, size
        if len(self._written) > MOST_REMEMBERED:
            del self._written[next(iter(self._written))]

    def _insert(self, transaction: Connection, copies: Sequence[tuple[str, Copy]]) -> None:
        """copies: each with the digest of its first event."""
        _ADD.run_for_each(
            transaction,
            [
                (
                    first,
                    copy.partition_key,
                    copy.body,
                    microseconds(copy.published_at),
                    copy.offers,
                    microseconds(copy.due_at),
                )
                for first, copy in copies
            ],
        )


def _copies(rows: Iterable[tuple[int, str, bytes, int, int, int]]) -> list[Copy]:
    return [
        Copy(
            number=number,
            partition_key=partition_key,
            body=bytes(body),
            published_at=moment_of(published_at),
            offers=offers,
            due_at=moment_of(due_at),
        )
        for number, partition_key, body, published_at, offers, due_at in rows
    ]
