"""Ports of the vault's use cases. The store works in the caller's transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.facts import Fact
from contracts.organization import SealingKey
from services.vault.domain.custody import Custody
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase


class CustodyStore(Protocol):
    """Custodies and their sealed cases.

    Durable with the transaction. `take` locks custodies until the transaction ends (row locks in a fixed
    order), so a decision on them still holds when it is written: concurrent consumers release a case once.
    """

    def take(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Custody]:
        """Return and lock the custodies of these referrals; create missing ones as `awaited`."""
        ...

    def awaited_acceptors(self, transaction: Connection) -> list[str]:
        """Return the acceptors of held cases; these cases wait for their keys."""
        ...

    def waiting_for(self, transaction: Connection, acceptor: str, limit: int) -> list[str]:
        """Return at most `limit` referrals whose cases wait for this acceptor's key. Takes no lock."""
        ...

    def paused(self, transaction: Connection, now: dt.datetime) -> tuple[int, dt.datetime | None]:
        """Return how many accepted cases wait for the end of a pause, and when the oldest began to wait."""
        ...

    def put(self, transaction: Connection, custodies: Iterable[Custody], now: dt.datetime) -> None:
        """Update custodies that were taken."""
        ...

    def keep(self, transaction: Connection, cases: Mapping[str, SealedCase]) -> None:
        """Store sealed cases by referral."""
        ...

    def sealed(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, SealedCase]:
        """Return the stored sealed cases of these referrals."""
        ...

    def witness(
        self, transaction: Connection, evidence: Iterable[tuple[str, ProvenEvent]], now: dt.datetime
    ) -> None:
        """Store the signed facts that the vault acted on, each with its referral. Idempotent."""
        ...

    def destroy(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """Delete sealed cases with their wrapped keys, irreversibly. Idempotent."""
        ...


class DeclineNotes(Protocol):
    """Notes of declines that wait for routing's decision, and decisions that wait for their notes.

    A note and the decision on its answer arrive by different queues, in any order. Both are stored until the
    other one has come or the referral is closed, so neither a crash nor the order can lose a note. The caller
    has taken the custodies of the referrals, which serialises concurrent consumers.
    """

    def held(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Event[Fact]]:
        """Return the held notes of these referrals by the id of their submission."""
        ...

    def answers(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, bool]:
        """Return submission id -> whether the answer took effect, for decided answers of these referrals."""
        ...

    def hold(self, transaction: Connection, notes: Mapping[str, Event[Fact]]) -> None:
        """Store notes by the id of their submission."""
        ...

    def drop(self, transaction: Connection, submission_ids: Collection[str]) -> None:
        """Delete held notes. Idempotent."""
        ...

    def record_answers(self, transaction: Connection, answers: Mapping[str, tuple[str, bool]]) -> None:
        """Store submission id -> (referral id, whether the answer took effect). Idempotent."""
        ...

    def forget_answers(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """Delete the decisions on the answers of these referrals. Idempotent."""
        ...


class UnusableKey(ValueError):
    """Raised for an organisation's sealing key that cannot be used to seal."""


class CustodyKey(Protocol):
    """The hub's custody key. Only `open` returns plaintext."""

    @property
    def kid(self) -> str:
        """The key's RFC 7638 thumbprint."""
        ...

    def open(self, case: SealedCase) -> bytes:
        """Return the plaintext. Raises Refused `case-unreadable` if altered or sealed to another key."""
        ...

    def reseal(self, case: SealedCase, recipient: SealingKey) -> str:
        """Return the same plaintext, byte for byte, as a compact JWE for the recipient.

        Raises Refused `case-unreadable` as `open` does, and UnusableKey.
        """
        ...


class SealingKeys(Protocol):
    """The organisations' published sealing keys that this process knows."""

    def of(self, organization: str) -> SealingKey | None:
        """Return the organisation's sealing key, or None if no published key is known."""
        ...

    def paused_until(self, organization: str) -> dt.datetime | None:
        """Return until when nothing may be sealed to the key, because it replaced an earlier one without
        proof of that key. None: it may; a moment in the past: it may again.
        """
        ...
