"""Differences between the mailboxes and the log: who got which message, and with what content."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from admin.reconciliation.differences import Difference

# The id of a message and its fact: authors may share an id.
MessageKey = tuple[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMessage:
    """A message in a mailbox. sequence: its position among all messages of delivery.

    organization: whose mailbox it is in. content: the digest of the data; None once it is erased.
    state: of the delivery; acknowledged_at: when it was acknowledged. ending: `open` if it is still to be
    closed, why it was closed, or None if it never is; closed_at: when it was closed. offer_id: of an offer.
    """

    sequence: int
    message_id: str
    type: str
    fact: str
    referral_id: str
    queued_at: dt.datetime
    organization: str
    content: str | None
    state: str
    acknowledged_at: dt.datetime | None
    ending: str | None
    closed_at: dt.datetime | None
    offer_id: str | None

    @property
    def key(self) -> MessageKey:
        return self.message_id, self.fact


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedMessage:
    """An entry of the log whose message delivery puts into mailboxes.

    recipients: the mailboxes that receive it. content: the digest of the data. Both are None once the content
    is erased, and with the index if the entry does not match the log's commitment. countable: the recipients
    that get a number instead of it where one organisation causes many. about: the referral that the data
    names, "" for none; None once the data is erased.
    """

    index: int | None
    message_id: str
    fact: str
    referral_id: str | None
    time: dt.datetime | None
    recipients: frozenset[str] | None
    content: str | None
    countable: frozenset[str] = frozenset()
    about: str | None = None

    @property
    def key(self) -> MessageKey:
        return self.message_id, self.fact


def misplaced_messages(
    stored: Sequence[StoredMessage], logged: Mapping[MessageKey, LoggedMessage]
) -> Iterator[Difference]:
    """Yield messages in mailboxes that the log does not have, not for that mailbox, or with other data."""
    for message in stored:
        entry = logged.get(message.key)
        if entry is None:
            what = f"a mailbox has {message.fact}, but the log does not"
        elif entry.recipients is not None and message.organization not in entry.recipients:
            what = f"the mailbox of {message.organization} has {message.fact}, which the log has for others"
        elif message.content is not None and entry.content not in (None, message.content):
            what = f"the mailbox of {message.organization} has {message.fact} with other content than the log"
        elif not _is_about(message, entry):
            what = f"the mailbox of {message.organization} has {message.fact} about another referral"
        else:
            continue
        yield Difference(
            referral_id=message.referral_id or None,
            record=None if message.referral_id else f"message {message.message_id}",
            where="delivery",
            what=what,
            index=None if entry is None else entry.index,
        )


def _is_about(message: StoredMessage, entry: LoggedMessage) -> bool:
    """Return whether the message is about the log's referral. Otherwise another one's end would close it."""
    if entry.about is not None:
        return message.referral_id == entry.about
    return not message.referral_id or entry.referral_id in (None, message.referral_id)


def undelivered_messages(
    logged: Sequence[LoggedMessage], holders: Mapping[MessageKey, Collection[str]]
) -> Iterator[Difference]:
    """Yield logged messages that a recipient's mailbox lacks. holders: of each message, whose mailboxes."""
    for entry in logged:
        having = holders.get(entry.key, ())
        if not having and entry.recipients != entry.countable:
            yield _undelivered(entry, f"the log has {entry.fact}, but no mailbox has it")
            continue
        required = (entry.recipients or frozenset()) - entry.countable
        for missing in sorted(required.difference(having)):
            what = f"the log has {entry.fact} for {missing}, whose mailbox does not have it"
            yield _undelivered(entry, what)


def _undelivered(entry: LoggedMessage, what: str) -> Difference:
    return Difference(
        referral_id=entry.referral_id,
        record=None if entry.referral_id else f"message {entry.message_id}",
        where="delivery",
        what=what,
        index=entry.index,
    )
