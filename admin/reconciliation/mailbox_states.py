"""Read-only queries of the mailboxes, and of the entries of the log that mailboxes receive."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Engine, select

from admin.reconciliation.compared_rows import fact_of, record_digest
from admin.reconciliation.mailbox_differences import LoggedMessage, MessageKey, StoredMessage
from admin.reconciliation.message_ends import TYPES, LoggedEnd
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.service_tables import MESSAGES
from contracts.envelope import Envelope
from contracts.records import Malformed
from services.audit.log.ports import OpenedLeaf
from services.delivery.domain.alert_counts import CAUSES
from services.delivery.domain.recipients import COORDINATORS, recipients_of, recipients_of_any

# The coordinators get one message with a number instead of many alerts of one kind.
_COUNTED: Final = frozenset({COORDINATORS})


class MailboxStates:
    """Delivery's mailboxes beside the log."""

    def __init__(self, delivery: Engine, entries: OpenedEntries) -> None:
        self._engine = delivery
        self._entries = entries

    def messages(self, after: int, limit: int) -> list[StoredMessage]:
        """Return the next messages of all mailboxes after a sequence."""
        wanted = select(MESSAGES).where(MESSAGES.c.sequence > after).order_by(MESSAGES.c.sequence)
        with self._engine.connect() as connection:
            return [_message(row) for row in connection.execute(wanted.limit(limit))]

    def logged(self, message_ids: Sequence[str]) -> dict[MessageKey, LoggedMessage]:
        """Return the entries of these messages."""
        opened, others = self._entries.of_messages(message_ids)
        found = {one.key: one for one in map(logged_message, opened)}
        for message_id, type in others:
            unmatched = LoggedMessage(
                index=None,
                message_id=message_id,
                fact=fact_of(type),
                referral_id=None,
                time=None,
                recipients=None,
                content=None,
            )
            found.setdefault(unmatched.key, unmatched)
        return found

    def ends(self, referral_ids: Collection[str]) -> dict[str, list[LoggedEnd]]:
        """Return the entries of these referrals that end messages, by referral."""
        found: dict[str, list[LoggedEnd]] = defaultdict(list)
        for opened in self._entries.of_referrals(sorted(referral_ids), sorted(TYPES)):
            leaf = opened.fields
            end = LoggedEnd(
                index=opened.index,
                message_id=leaf["message_id"],
                type=leaf["type"],
                time=dt.datetime.fromisoformat(leaf["time"]),
                data=opened.data,
            )
            found[leaf.get("referral_id", "")].append(end)
        return found

    def delivered(
        self, types: Sequence[str], limit: int, *, since: dt.datetime
    ) -> Iterator[list[LoggedMessage]]:
        """Yield the entries of these types and of later events, in pages. limit: entries per query."""
        for page in self._entries.pages(types, limit, since=since):
            yield [logged_message(opened) for opened in page]

    def holders(self, message_ids: Sequence[str]) -> dict[MessageKey, set[str]]:
        """Return whose mailboxes have these messages."""
        wanted = select(MESSAGES.c.message_id, MESSAGES.c.type, MESSAGES.c.organization)
        found: dict[MessageKey, set[str]] = defaultdict(set)
        with self._engine.connect() as connection:
            for row in connection.execute(wanted.where(MESSAGES.c.message_id.in_(message_ids))):
                found[row.message_id, fact_of(row.type)].add(row.organization)
        return found


def _message(row: Any) -> StoredMessage:
    return StoredMessage(
        sequence=row.sequence,
        message_id=row.message_id,
        type=row.type,
        fact=fact_of(row.type),
        referral_id=row.referral_id,
        queued_at=row.queued_at,
        organization=row.organization,
        content=_content(row.body) if row.closed_at is None else None,
        state=row.state,
        acknowledged_at=row.acknowledged_at,
        ending=row.content,
        closed_at=row.closed_at,
        offer_id=row.offer_id,
    )


def _content(body: bytes) -> str:
    try:
        return record_digest(Envelope.decode(body).data)
    except Malformed:
        return "no event"


def logged_message(opened: OpenedLeaf) -> LoggedMessage:
    """Return an entry of the log as the mailboxes receive it."""
    leaf, data = opened.fields, opened.data
    return LoggedMessage(
        index=opened.index,
        message_id=leaf["message_id"],
        fact=fact_of(leaf["type"]),
        referral_id=leaf.get("referral_id"),
        time=dt.datetime.fromisoformat(leaf["time"]),
        recipients=_recipients(leaf["type"], data),
        content=None if data is None else record_digest(data),
        countable=_COUNTED if leaf["type"] in CAUSES else frozenset(),
        about=None if data is None else data.get("referral_id", ""),
    )


def _recipients(type: str, data: Mapping[str, Any] | None) -> frozenset[str] | None:
    """Return the mailboxes that receive a fact; None if its content does not name them, or is erased."""
    try:
        return recipients_of_any(type) if data is None else frozenset(recipients_of(type, data))
    except KeyError:
        return None
