"""Ports of the vault's use cases. The store works in the caller's transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.facts import Fact
from contracts.organization import SealingKey
from services.vault.domain.custody import Custody
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase
from services.vault.domain.transit import TransitKey


class CustodyStore(Protocol):
    """Custodies and their sealed cases.

    Durable with the transaction. `take` locks custodies until the transaction ends (row locks in a fixed
    order), so a decision on them still holds when it is written: concurrent consumers release a case once.
    """

    def take(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Custody]:
        """Return and lock the custodies of these referrals; create missing ones as `awaited`."""
        ...

    def linked(self, transaction: Connection, referral_ids: Collection[str]) -> set[str]:
        """Return the wholes of those referrals that are parts, and the parts of the others. Takes no lock."""
        ...

    def awaited_acceptors(self, transaction: Connection) -> list[str]:
        """Return the acceptors of held cases that wait for their keys, not for their senders."""
        ...

    def awaiting_release(self, transaction: Connection, until: dt.datetime) -> dict[str, int]:
        """Return the number of held cases of each acceptor that have not changed since `until`."""
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
        """Return the stored sealed cases of these referrals, without those whose keys are missing."""
        ...

    def witness(
        self, transaction: Connection, evidence: Iterable[tuple[str, ProvenEvent]], now: dt.datetime
    ) -> None:
        """Store the signed facts that the vault acted on, each with its referral. Idempotent."""
        ...

    def ended_offers(self, transaction: Connection, referral_ids: Collection[str]) -> set[str]:
        """Return the accepted offers of these referrals whose acceptance has ended, as the evidence says."""
        ...

    def destroy(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """Delete sealed cases, and mark their keys, which `KeyKeeping` then destroys. Idempotent."""
        ...

    def doomed_keys(self, transaction: Connection, limit: int) -> list[str]:
        """Return the ids of at most `limit` case keys to destroy."""
        ...

    def forget_doomed(self, transaction: Connection, key_ids: Collection[str]) -> None:
        """Forget the marks of case keys that are destroyed."""
        ...

    def unused_keys(self, transaction: Connection, key_ids: Collection[str]) -> list[str]:
        """Return those of the case keys that no stored case is sealed with."""
        ...

    def seal_earlier(self, transaction: Connection, limit: int) -> int:
        """Seal at most `limit` cases that an earlier build stored without a case key; return how many."""
        ...

    def needs_keys(self, transaction: Connection) -> bool:
        """Return whether any stored case is sealed with a case key."""
        ...


class KeyKind(StrEnum):
    """case: seals one case in the vault's database. transit: the private half of a transit key."""

    case = "case"
    transit = "transit"


class KeyStore(Protocol):
    """The vault's secret keys, by id. Everything is durable when a method returns.

    It has its own transactions: a key exists before anything that is sealed with it is committed, and is
    destroyed after the commit that makes it useless. A crash between the two leaves a key too many.
    """

    def add(self, kind: KeyKind, keys: Mapping[str, bytes], now: dt.datetime) -> None:
        """Store keys."""
        ...

    def get(self, kind: KeyKind, ids: Collection[str]) -> dict[str, bytes]:
        """Return the stored ones of these keys."""
        ...

    def made_before(self, kind: KeyKind, moment: dt.datetime) -> list[str]:
        """Return the ids of the keys that were made before the moment."""
        ...

    def destroy(self, kind: KeyKind, ids: Collection[str]) -> None:
        """Overwrite and delete keys. Idempotent."""
        ...

    def truncate(self) -> bool:
        """Remove destroyed keys from the store's journal; False while it is in use: call it again later."""
        ...


class TransitKeyStore(Protocol):
    """The public facts of the vault's transit keys. The private halves are in the key store."""

    def add(self, transaction: Connection, key: TransitKey) -> None:
        """Insert a key. Idempotent."""
        ...

    def all(self, transaction: Connection) -> list[TransitKey]:
        """Return the keys that are not destroyed, oldest first."""
        ...

    def count_opened(self, transaction: Connection, opened: Mapping[str, int]) -> None:
        """Add to the number of messages that were read, by kid."""
        ...

    def close(self, transaction: Connection, kid: str, messages: int, now: dt.datetime) -> None:
        """Record how many messages intake has sealed to the key. The first call counts."""
        ...

    def remove(self, transaction: Connection, kid: str) -> None:
        """Delete a key that is destroyed. Idempotent."""
        ...


class MessageOpener(Protocol):
    """Opens messages that intake sealed to a transit key."""

    def opened(self, transaction: Connection, messages: Sequence[Event[Fact]]) -> list[Event[Fact]]:
        """Return the messages as their senders sealed them, and count those that were sealed in transit.

        Raises Defect when a transit key is missing or a message was altered: the message is dead-lettered.
        """
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


class CustodyKeys(Protocol):
    """The hub's custody keys, each known by its RFC 7638 thumbprint. Only `open` returns plaintext."""

    def has(self, kid: str) -> bool:
        """Return whether cases that are sealed to this key can be opened now."""
        ...

    def open(self, case: SealedCase) -> bytes:
        """Return the plaintext.

        Raises Refused `case-unreadable` for an altered case, and Unavailable without the key that its header
        names: intake admits cases for announced keys only, so the key is missing by an operator's mistake.
        """
        ...

    def reseal(self, case: SealedCase, recipient: SealingKey) -> str:
        """Return the same plaintext, byte for byte, as a compact JWE for the recipient.

        Raises what `open` raises, and UnusableKey.
        """
        ...


class KnownSealingKeys(Protocol):
    """The organisations' published sealing keys that this process knows."""

    def of(self, organization: str) -> SealingKey | None:
        """Return the organisation's sealing key, or None if no published key is known."""
        ...

    def accepts(self, organization: str, kid: str, now: dt.datetime) -> bool:
        """Return whether a case may be sealed to this key: the organisation's present one, or for a while
        the one before, if its holder replaced it.
        """
        ...

    def paused_until(self, organization: str) -> dt.datetime | None:
        """Return until when nothing may be sealed to the key, because it replaced an earlier one without
        proof of that key. None: there is no such pause; a moment in the past: it has ended.
        """
        ...
