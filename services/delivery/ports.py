"""What delivery's use cases need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from services.delivery.domain.delivery import DeliveryState


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A message on its way into a mailbox. body: the CloudEvent's bytes as the organisation gets them."""

    organization: str
    message_id: str
    type: str
    referral_id: str
    correlation_id: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxEntry:
    """A message in a mailbox, without its body. sequence: rises in the order of arrival."""

    sequence: int
    organization: str
    message_id: str
    type: str
    referral_id: str
    correlation_id: str
    state: DeliveryState


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A message that is not acknowledged yet, as a poll finds it."""

    sequence: int
    type: str
    state: DeliveryState
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleasedCase:
    """case: compact JWE, sealed to the organisation."""

    referral_id: str
    organization: str
    case: str


class Mailboxes(Protocol):
    """Every organisation's mailbox. Durable with the caller's transaction.

    Order: whoever has seen sequence n never later finds a lower one that is new. `append` may only be
    called after `serialise` in the same transaction, which lets one transaction at a time append, in all
    processes on this database; so numbers become visible in the order in which they were given.
    """

    def serialise(self, transaction: Connection) -> None:
        """Waits until no other transaction can append; held until this one ends. To be called first."""
        ...

    def append(self, transaction: Connection, arrivals: Sequence[Arrival], now: dt.datetime) -> None:
        """Puts messages at the end of their mailboxes. One that is there already stays as it is."""
        ...

    def waiting(
        self, transaction: Connection, mailboxes: tuple[str, ...], *, after: int, limit: int, size: int
    ) -> tuple[list[Waiting], bool]:
        """The mailboxes' unacknowledged messages with a sequence above `after`, oldest first.

        At most `limit`, and as many as have bodies of `size` bytes together, but one at least. Also
        whether more follow.
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
        """Messages by sequence in whosever mailbox, and by id in those of the organisations: each once,
        oldest first, and the caller's alone until the transaction ends."""
        ...

    def put(
        self, transaction: Connection, state: DeliveryState, sequences: Collection[int], now: dt.datetime
    ) -> None:
        """Writes a new state of messages that were taken, delivered or acknowledged, and since when."""
        ...

    def newer_than(self, transaction: Connection, sequence: int | None) -> tuple[int, list[str]]:
        """The highest sequence, and whose mailboxes have a higher one than the one given.

        None: the highest alone.
        """
        ...

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """Deletes at most `limit` messages acknowledged before the moment; returns how many."""
        ...


class ReleasedCases(Protocol):
    """Released cases, each sealed to one organisation. Durable with the caller's transaction."""

    def closed(self, transaction: Connection, referral_ids: Collection[str]) -> set[str]:
        """Which of the referrals are closed: their cases are kept no more."""
        ...

    def keep(self, transaction: Connection, cases: Sequence[ReleasedCase]) -> None:
        """Stores cases, each in place of an earlier one of its referral. None is kept of a closed one."""
        ...

    def case_for(self, transaction: Connection, referral_id: str, organization: str) -> str | None:
        """The case, if it was released to this organisation and the referral is not closed."""
        ...

    def close(self, transaction: Connection, referral_ids: Iterable[str], now: dt.datetime) -> None:
        """Deletes the cases, and remembers the referrals: a letter that comes late is not stored."""
        ...

    def forget(self, transaction: Connection, before: dt.datetime, limit: int) -> int:
        """Forgets at most `limit` referrals closed before the moment; returns how many."""
        ...


class Subscription(Protocol):
    """One waiter's own signal."""

    def clear(self) -> None:
        """Take back the signal; to be called before looking, so that what comes meanwhile is noticed."""
        ...

    def wait(self, timeout: float) -> bool:
        """Return on the signal or after `timeout` seconds; lets others run meanwhile."""
        ...


class Notifier(Protocol):
    """Tells those who wait for a mailbox that something may have come. Losing a ring loses no message."""

    @property
    def stopped(self) -> bool:
        """The process is ending: nobody is to wait any more."""
        ...

    def listening(self, *mailboxes: str) -> AbstractContextManager[Subscription]:
        """A signal for what comes to any of these mailboxes, for as long as the context lasts."""
        ...
