"""Ports of delivery's use cases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from contracts.quick_init import quick_init
from services.delivery.domain.alert_counts import AlertKind
from services.delivery.domain.closing import ClosedMessage, End, OpenMessage
from services.delivery.domain.consumer import NamedConsumer, OldMessage
from services.delivery.domain.delivery import DeliveryState
from services.delivery.domain.report_closing import DeliveredReport, ReportEnd
from services.delivery.domain.selection import WAITING, Selection


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A message to append to a mailbox. body: the CloudEvent's bytes as the organisation receives them.

    offer_id: of `offer.opened`. acceptance: the accepted offer by which the organisation gets a note; with
    its end the body is erased. subject: of an alert that is about no referral. report: a watch report.
    carries: whether an end erases the body; then closed: the end that it arrives after, so that its body is
    not stored; closes_at: when its body is to be erased.
    """

    organization: str
    message_id: str
    type: str
    referral_id: str
    correlation_id: str
    body: bytes
    offer_id: str | None = None
    subject: str | None = None
    report: DeliveredReport | None = None
    carries: bool = False
    closed: End | None = None
    closes_at: dt.datetime | None = None
    acceptance: str | None = None


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxEntry:
    """A message in a mailbox, without its body. sequence: rises in arrival order.

    is_closed: whether the body has been erased.
    """

    sequence: int
    organization: str
    message_id: str
    type: str
    referral_id: str
    correlation_id: str
    state: DeliveryState
    is_closed: bool = False


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class PolledMessage:
    """A message as a poll reads it. closed: set if its body has been erased."""

    sequence: int
    type: str
    state: DeliveryState
    body: bytes
    closed: ClosedMessage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedCase:
    """A released case. case: compact JWE, sealed to the organisation.

    offer_id: the offer that the organisation accepted, None for cases that an earlier build released.
    """

    referral_id: str
    organization: str
    case: str
    offer_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedAcceptance:
    """An acceptance that was handed back or revoked."""

    referral_id: str
    organization: str
    offer_id: str


class AlertCounts(Protocol):
    """The numbers of the coordinators' alerts in an hour. Durable with the caller's transaction.

    Concurrency: the caller has called `Mailboxes.serialise` in the same transaction.
    """

    def add(
        self, transaction: Connection, since: dt.datetime, alerts: Mapping[AlertKind, int]
    ) -> dict[AlertKind, int]:
        """Add numbers to those of the hour that began at `since`; return what each was before.

        Forgets earlier hours.
        """
        ...


class Mailboxes(Protocol):
    """The organisations' mailboxes. Durable with the caller's transaction.

    Order: a reader who has seen sequence n never later finds a new lower one. `append` requires `serialise`
    earlier in the same transaction. `serialise` lets one transaction at a time append, in all processes on
    this database. So sequences become visible in the order in which they were assigned.
    """

    def serialise(self, transaction: Connection) -> None:
        """Lock appending until the transaction ends; wait for the lock. Call before `append`."""
        ...

    def append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """Append messages to their mailboxes. A message already there stays unchanged."""
        ...

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
        """Return the selected messages with a sequence above `after`, and whether more follow.

        Oldest first. At most `limit` messages with `size` bytes of bodies in total, but at least one message.
        A selection with a consumer is of a single mailbox, that of the consumer's organisation.
        """
        ...

    def newest(self, transaction: Connection, mailboxes: Collection[str]) -> int:
        """Return the highest sequence in these mailboxes, 0 while they are empty.

        Readers see it: that of all mailboxes would count the messages of others.
        """
        ...

    def sequence_before(
        self, transaction: Connection, mailboxes: Collection[str], moment: dt.datetime
    ) -> int:
        """Return a sequence below every message of these mailboxes that was queued at or after the moment.

        It is 0 or that of one of their messages, see `newest`. It may be lower than necessary, see
        `domain/seeking.py`.
        """
        ...

    def take(
        self,
        transaction: Connection,
        *,
        sequences: Collection[int],
        organizations: Collection[str],
        message_ids: Collection[str],
    ) -> list[MailboxEntry]:
        """Return messages by sequence in any mailbox, and by id in the organisations' mailboxes.

        Each once, oldest first, locked until the transaction ends.
        """
        ...

    def put(
        self, transaction: Connection, state: DeliveryState, sequences: Collection[int], now: dt.datetime
    ) -> None:
        """Write the new state, delivered or acknowledged, of messages that were taken, and its time.

        An acknowledged message whose referral has ended is due to be closed.
        """
        ...

    def newer_than(self, transaction: Connection, sequence: int | None) -> tuple[int, list[str]]:
        """Return the mailboxes of the messages above the sequence, and the sequence of the last of these.

        Looks at some ten thousand messages at most; the next call, with the returned sequence, continues.
        sequence: None returns the highest one and no mailboxes.
        """
        ...

    def old(self, transaction: Connection, before: dt.datetime, limit: int) -> list[OldMessage]:
        """Return at most `limit` messages whose time began before the moment, the oldest first.

        The time of a message begins when it is acknowledged. Locked until the transaction ends.
        """
        ...

    def keep(self, transaction: Connection, sequences: Collection[int], now: dt.datetime) -> None:
        """Let the time of these messages begin again."""
        ...

    def delete(self, transaction: Connection, sequences: Collection[int]) -> None:
        """Delete these messages."""
        ...


class Consumers(Protocol):
    """The named consumers of organisations. Durable with the caller's transaction."""

    def all_of(self, transaction: Connection, organizations: Collection[str]) -> list[NamedConsumer]:
        """Return the organisations' consumers, sorted by organisation and name."""
        ...

    def one(
        self, transaction: Connection, organization: str, name: str, *, lock: bool = False
    ) -> NamedConsumer | None:
        """Return a consumer, None if there is none. lock: until the transaction ends."""
        ...

    def put(self, transaction: Connection, consumer: NamedConsumer) -> None:
        """Store a consumer, in place of one with the same name. Its acknowledgements stay."""
        ...

    def remove(self, transaction: Connection, organization: str, name: str) -> bool:
        """Delete a consumer and its acknowledgements; return whether there was one."""
        ...

    def restart(self, transaction: Connection, consumer: NamedConsumer, position: int) -> None:
        """Move a locked consumer to a position, forward or back, without its acknowledgements."""
        ...

    def acknowledge(
        self, transaction: Connection, consumer: NamedConsumer, sequences: Collection[int]
    ) -> None:
        """Store that a locked consumer no longer needs these messages, and move its position if it can."""
        ...

    def acknowledged(
        self, transaction: Connection, sequences: Collection[int]
    ) -> Collection[tuple[str, str, int]]:
        """Return which of the messages consumers have acknowledged above their positions.

        Each is an organisation, a consumer's name and a sequence.
        """
        ...

    def waiting_since(self, transaction: Connection, consumer: NamedConsumer) -> dt.datetime | None:
        """Return when the oldest message that the consumer needs was queued; None if it needs none."""
        ...


class Closings(Protocol):
    """The closing of messages that say something about a person: erases their bodies.

    A closed message keeps its sequence, id, type and state. Durable with the caller's transaction.
    """

    def ended_offers(self, transaction: Connection, offer_ids: Collection[str]) -> Mapping[str, End]:
        """Return those of the offers that are known to have ended, also by the end of their acceptance."""
        ...

    def remember_ended(self, transaction: Connection, offers: Mapping[str, End]) -> None:
        """Remember the ends of offers, by id. The first end counts, but any other one replaces an expiry."""
        ...

    def open_messages(
        self, transaction: Connection, referral_ids: Collection[str], subjects: Collection[str] = ()
    ) -> list[OpenMessage]:
        """Return the messages of these referrals, and the alerts about these subjects, that an end closes.

        Oldest first, locked until the transaction ends.
        """
        ...

    def close(self, transaction: Connection, ended: Mapping[int, End]) -> None:
        """Erase the bodies of messages, by sequence, that `open_messages` returned."""
        ...

    def close_later(self, transaction: Connection, due: Mapping[int, dt.datetime]) -> None:
        """Store when the bodies of messages of completed referrals, by sequence, are to be erased."""
        ...

    def is_due(self, transaction: Connection, now: dt.datetime) -> bool:
        """Return whether `close_due` would erase a body."""
        ...

    def close_due(self, transaction: Connection, now: dt.datetime, limit: int) -> int:
        """Erase the bodies of at most `limit` messages that are due; return how many."""
        ...

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """Delete the memory of at most `limit` offers that ended before the moment; return how many."""
        ...


class ReportClosings(Protocol):
    """The closing of messages with watch reports: erases their bodies.

    Durable with the caller's transaction.
    """

    def remember(self, transaction: Connection, ends: Sequence[ReportEnd]) -> None:
        """Remember ends. The latest of a subject counts."""
        ...

    def ends(self, transaction: Connection, subjects: Collection[str]) -> Mapping[str, End]:
        """Return the ends that are remembered, by subject."""
        ...

    def keep(self, transaction: Connection, reports: Sequence[DeliveredReport]) -> None:
        """Note which messages have which reports. A message that is noted already stays unchanged."""
        ...

    def close(self, transaction: Connection, ends: Mapping[str, End]) -> None:
        """Erase the bodies of all messages with these reports, by id."""
        ...

    def close_opted_out(self, transaction: Connection, limit: int) -> int:
        """Erase the bodies of at most `limit` messages that were sent to an organisation before it opted out.

        Return how many.
        """
        ...

    def forget(self, transaction: Connection, *, ended: dt.datetime, expired: dt.datetime, limit: int) -> int:
        """Delete at most `limit` ends before `ended`, and as many notes of reports that expired.

        expired: when. Return the higher number.
        """
        ...


class ReleasedCases(Protocol):
    """Released cases, each sealed to one organisation. Durable with the caller's transaction."""

    def closed(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[str, End]:
        """Return which of the referrals are closed, and how; no cases are kept for them."""
        ...

    def keep(self, transaction: Connection, cases: Sequence[ReleasedCase]) -> None:
        """Store cases; each replaces an earlier case of its referral. Skips closed referrals."""
        ...

    def newest(self, transaction: Connection, referral_ids: Collection[str]) -> Mapping[tuple[str, str], str]:
        """Return the id of the newest message that released a case, by referral and organisation.

        The ids of one vault process rise, and those of several as far as their clocks agree. Messages whose
        notice has left the mailbox are missing; that happens later than the inbox admits their replay.
        """
        ...

    def case_for(self, transaction: Connection, referral_id: str, organization: str) -> str | None:
        """Return the case if it was released to the organisation and the referral is open, else None."""
        ...

    def end(self, transaction: Connection, ended: Sequence[EndedAcceptance], now: dt.datetime) -> None:
        """Delete the cases that were released for these acceptances, and remember the acceptances.

        A case released for a later acceptance stays, also one of the same organisation.
        """
        ...

    def ended(self, transaction: Connection, offer_ids: Collection[str]) -> set[str]:
        """Return which of the accepted offers `end` has been called for."""
        ...

    def close(self, transaction: Connection, ended: Mapping[str, End]) -> None:
        """Delete the cases and remember the referrals, by id, so that a late case is not stored."""
        ...

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` referrals closed, and acceptances ended, before the moment.

        Returns how many were deleted.
        """
        ...


class Subscription(Protocol):
    """The signal of one waiter."""

    def clear(self) -> None:
        """Reset the signal. Call before reading, so that a message that arrives meanwhile is noticed."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait for the signal, at most `timeout` seconds; yield to other greenlets meanwhile."""
        ...


class Notifier(Protocol):
    """Signals waiters that a mailbox may have new messages. A lost signal loses no message."""

    @property
    def stopped(self) -> bool:
        """Whether the process is stopping; callers must not wait any more."""
        ...

    def listening(self, *mailboxes: str) -> AbstractContextManager[Subscription]:
        """Subscribe to these mailboxes while the context lasts."""
        ...
