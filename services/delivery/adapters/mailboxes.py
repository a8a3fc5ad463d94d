"""Mailboxes in delivery's database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Generator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, func, select

from contracts.facts import EmployerReportDelivered
from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from runtime.storage.sqlite_driver import Row
from runtime.turn import Turn
from services.delivery.adapters.tables import MESSAGES
from services.delivery.domain.closing import ClosedMessage, End
from services.delivery.domain.consumer import OldMessage
from services.delivery.domain.delivery import DeliveryState
from services.delivery.domain.seeking import sequence_before
from services.delivery.domain.selection import WAITING, Selection, name_of
from services.delivery.ports import Arrival, MailboxEntry, PolledMessage

# The new messages that one call looks at.
MOST_NEW: Final = 10_000
# The key of an advisory lock; nothing else in this database uses it.
_APPENDING: Final = 7_203_115

_SERIALISE = SqlStatement("SELECT pg_advisory_xact_lock(?)")

_APPEND = SqlStatement(
    "INSERT INTO mailbox_messages"
    " (organization, message_id, type, referral_id, correlation_id, body, state, queued_at,"
    " offer_id, subject, acceptance, content, closed_at, closes_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

_UNACKNOWLEDGED: Final = "AND acknowledged_at IS NULL"
# Named, because the condition of a consumer needs its name among the parameters.
_BY_CONSUMER: Final = (
    "AND NOT EXISTS (SELECT 1 FROM consumer_acknowledgements AS done WHERE done.consumer = ?"
    " AND done.organization = mailbox_messages.organization AND done.sequence = mailbox_messages.sequence)"
)


_COLUMNS: Final = "sequence, type, state, body, message_id, referral_id, correlation_id, content, closed_at"


def _selecting(which: str, types: bool) -> SqlStatement:
    of_types = "AND type = ANY (?)" if types else ""
    # Made of constants of this module.
    conditions = f"organization = ? {which} AND sequence > ? AND sequence <= ? {of_types}"
    text = f"SELECT {_COLUMNS} FROM mailbox_messages WHERE {conditions} ORDER BY sequence LIMIT ?"  # noqa: S608
    return SqlStatement(text)


_SELECT: Final = {
    (which, types): _selecting(which, types)
    for which in (_UNACKNOWLEDGED, _BY_CONSUMER, "")
    for types in (False, True)
}

# How many messages one statement of a search reads: some milliseconds. SQLite holds the process for a whole
# statement, and one without a bound for a rare type, or for what a consumer still needs, reads them all.
WINDOW: Final = 2_000
LAST: Final = (1 << 63) - 1


def _ending(which: str) -> SqlStatement:
    conditions = f"organization = ? {which} AND sequence > ?"
    return SqlStatement(
        f"SELECT sequence FROM mailbox_messages WHERE {conditions} ORDER BY sequence LIMIT 1 OFFSET ?"  # noqa: S608
    )


_END_OF_WINDOW: Final = {which: _ending(which) for which in (_UNACKNOWLEDGED, "")}

# Rows are always locked in this order, so transactions cannot deadlock.
_TAKE = SqlStatement(
    "SELECT sequence, organization, message_id, type, referral_id, correlation_id, state,"
    " closed_at IS NOT NULL"
    " FROM mailbox_messages"
    " WHERE sequence = ANY (?) OR (message_id = ANY (?) AND organization = ANY (?)) ORDER BY sequence",
    postgresql="FOR UPDATE",
)

_DELIVERED = SqlStatement(
    "UPDATE mailbox_messages SET state = ?, delivered_at = ? WHERE sequence = ANY (?)",
)

_ACKNOWLEDGED = SqlStatement(
    "UPDATE mailbox_messages SET state = ?, acknowledged_at = ?, forget_after = ?,"
    # A message of a completed referral is kept only until it is read; a watch report can be read again.
    " closes_at = CASE WHEN closes_at IS NULL OR type = ? THEN closes_at ELSE queued_at END"
    " WHERE sequence = ANY (?)",
)

# Grouping by organisation would let SQLite read the whole index of organisations instead of the new rows.
_NEWER = SqlStatement(
    "SELECT sequence, organization FROM mailbox_messages WHERE sequence > ? ORDER BY sequence LIMIT ?"
)

_NEWEST = SqlStatement(
    "SELECT sequence FROM mailbox_messages WHERE organization = ? ORDER BY sequence DESC LIMIT 1"
)

_PROBE = SqlStatement(
    "SELECT sequence, queued_at FROM mailbox_messages WHERE organization = ? AND sequence >= ?"
    " ORDER BY sequence LIMIT 1"
)

_OLD = SqlStatement(
    "SELECT sequence, organization, type FROM mailbox_messages WHERE forget_after < ?"
    " ORDER BY forget_after LIMIT ?",
    postgresql="FOR UPDATE SKIP LOCKED",
)

_KEEP = SqlStatement("UPDATE mailbox_messages SET forget_after = ? WHERE sequence = ANY (?)")

_DELETE = SqlStatement("DELETE FROM mailbox_messages WHERE sequence = ANY (?)")


# A look-up takes a third of the time of a call of the enumeration.
_STATES: Final = {state.value: state for state in DeliveryState}


class SqlMailboxes:
    """See `ports.Mailboxes`."""

    def serialise(self, transaction: Connection) -> None:
        """See `ports.Mailboxes`. SQLite has only one writer at a time."""
        if transaction.dialect.name == "postgresql":
            _SERIALISE.run(transaction, _APPENDING)

    def append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """See `ports.Mailboxes`."""
        queued_at = microseconds(now)
        _APPEND.run_for_each(
            transaction,
            [
                (
                    arrival.organization,
                    arrival.message_id,
                    arrival.type,
                    arrival.referral_id,
                    arrival.correlation_id,
                    b"" if arrival.closed else arrival.body,
                    DeliveryState.queued.value,
                    queued_at,
                    arrival.offer_id,
                    arrival.subject,
                    arrival.acceptance,
                    *_content(arrival),
                )
                for arrival in arrivals
            ],
        )

    def waiting(
        self,
        transaction: Connection,
        mailboxes: tuple[str, ...],
        *,
        after: int,
        limit: int,
        size: int,
        selection: Selection = WAITING,
    ) -> tuple[list[PolledMessage], bool]:
        """See `ports.Mailboxes`."""
        found: list[PolledMessage] = []
        left = size
        with ExitStack() as streams:
            # One row more than the limit shows whether more follow.
            each = [
                streams.enter_context(closing(_selected(transaction, mailbox, selection, after, limit + 1)))
                for mailbox in mailboxes
            ]
            for row in merge(*each, key=itemgetter(0)):
                sequence, message_type, state, body = row[:4]
                left -= len(body)
                if len(found) == limit or (found and left < 0):
                    return found, True
                found.append(
                    PolledMessage(
                        sequence=sequence,
                        type=message_type,
                        state=_STATES[state],
                        body=bytes(body),
                        closed=_closed(message_type, *row[4:]),
                    )
                )
        return found, False

    def take(
        self,
        transaction: Connection,
        *,
        sequences: Collection[int],
        organizations: Collection[str],
        message_ids: Collection[str],
    ) -> list[MailboxEntry]:
        """See `ports.Mailboxes`."""
        return [
            MailboxEntry(
                sequence=sequence,
                organization=organization,
                message_id=message_id,
                type=message_type,
                referral_id=referral_id,
                correlation_id=correlation_id,
                state=_STATES[state],
                is_closed=bool(is_closed),
            )
            for (
                sequence,
                organization,
                message_id,
                message_type,
                referral_id,
                correlation_id,
                state,
                is_closed,
            ) in _TAKE.run(transaction, list(sequences), list(message_ids), list(organizations))
        ]

    def put(
        self, transaction: Connection, state: DeliveryState, sequences: Collection[int], now: dt.datetime
    ) -> None:
        """See `ports.Mailboxes`."""
        at = microseconds(now)
        if not sequences:
            return
        if state is DeliveryState.acknowledged:
            kept = EmployerReportDelivered.type
            _ACKNOWLEDGED.run(transaction, state.value, at, at, kept, list(sequences))
        else:
            _DELIVERED.run(transaction, state.value, at, list(sequences))

    def newer_than(self, transaction: Connection, sequence: int | None) -> tuple[int, list[str]]:
        """See `ports.Mailboxes`."""
        if sequence is None:
            highest = select(func.coalesce(func.max(MESSAGES.c.sequence), 0))
            return int(transaction.execute(highest).scalar_one()), []
        rows = _NEWER.run(transaction, sequence, MOST_NEW).all()
        return (rows[-1][0] if rows else sequence), list(dict.fromkeys(name for _, name in rows))

    def newest(self, transaction: Connection, mailboxes: Collection[str]) -> int:
        """See `ports.Mailboxes`."""
        rows = (_NEWEST.run(transaction, mailbox).first() for mailbox in mailboxes)
        return max((int(row[0]) for row in rows if row is not None), default=0)

    def sequence_before(
        self, transaction: Connection, mailboxes: Collection[str], moment: dt.datetime
    ) -> int:
        """See `ports.Mailboxes`."""

        def probe(sequence: int) -> tuple[int, dt.datetime] | None:
            rows = (_PROBE.run(transaction, mailbox, sequence).first() for mailbox in mailboxes)
            return min(((row[0], moment_of(row[1])) for row in rows if row is not None), default=None)

        return sequence_before(moment, self.newest(transaction, mailboxes), probe)

    def old(self, transaction: Connection, before: dt.datetime, limit: int) -> list[OldMessage]:
        """See `ports.Mailboxes`."""
        return [
            OldMessage(sequence=sequence, organization=organization, name=name_of(message_type))
            for sequence, organization, message_type in _OLD.run(transaction, microseconds(before), limit)
        ]

    def keep(self, transaction: Connection, sequences: Collection[int], now: dt.datetime) -> None:
        """See `ports.Mailboxes`."""
        if sequences:
            _KEEP.run(transaction, microseconds(now), sorted(sequences))

    def delete(self, transaction: Connection, sequences: Collection[int]) -> None:
        """See `ports.Mailboxes`."""
        if sequences:
            _DELETE.run(transaction, sorted(sequences))


def end_of_window(
    transaction: Connection, organization: str, after: int, *, unacknowledged: bool = False
) -> int | None:
    """Return the sequence of the last of the next WINDOW messages of a mailbox; None if it has no more.

    unacknowledged: count only those that the default consumer has not acknowledged.
    """
    statement = _END_OF_WINDOW[_UNACKNOWLEDGED if unacknowledged else ""]
    end = statement.run(transaction, organization, after, WINDOW - 1).scalar_one_or_none()
    return None if end is None else int(end)


def _selected(
    transaction: Connection, mailbox: str, selection: Selection, after: int, limit: int
) -> Generator[Row, None, None]:
    """Yield the rows of the selected messages above `after`, by sequence; at most `limit` of each window.

    Streamed, so that a mailbox full of notes is not loaded before the page is full. Other requests run
    between two windows.
    """
    consumer, types = selection.consumer, sorted(selection.types)
    which = _BY_CONSUMER if consumer else "" if selection.again else _UNACKNOWLEDGED
    statement = _SELECT[which, bool(types)]
    reader = (consumer,) if consumer else ()
    more = [types] if types else []
    # Without a condition that passes messages over, an index leads to them.
    passes = bool(consumer or types)
    turn = Turn()
    while True:
        end = (
            end_of_window(transaction, mailbox, after, unacknowledged=which == _UNACKNOWLEDGED)
            if passes
            else None
        )
        until = LAST if end is None else end
        with statement.run(transaction, mailbox, *reader, after, until, *more, limit, stream=True) as rows:
            yield from rows
        if end is None:
            return
        after = end
        turn.end_if_over()


def _content(arrival: Arrival) -> tuple[str | None, int | None, int | None]:
    """Return the columns content, closed_at and closes_at."""
    if not arrival.carries:
        return None, None, None
    if arrival.closed is not None:
        return arrival.closed.reason, microseconds(arrival.closed.at), None
    return "open", None, None if arrival.closes_at is None else microseconds(arrival.closes_at)


def _closed(
    message_type: str,
    message_id: str,
    referral_id: str,
    correlation_id: str,
    content: str | None,
    closed_at: int | None,
) -> ClosedMessage | None:
    if content is None or closed_at is None:
        return None
    return ClosedMessage(
        message_id=message_id,
        type=message_type,
        referral_id=referral_id,
        correlation_id=correlation_id,
        end=End(reason=content, at=moment_of(closed_at)),
    )
