"""What the vault's use cases need. Everything here happens inside the caller's transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from sqlalchemy import Connection

from contracts.organization import SealingKey
from services.vault.domain.custody import Custody
from services.vault.domain.sealed import SealedCase


class CustodyStore(Protocol):
    """Custodies and the sealed cases that belong to them.

    Durable with the transaction. The custodies that `take` gives are the caller's alone until the
    transaction ends (row locks, taken in one order): what was decided on them still holds when it is
    written, so a case is released once, however many consumers meet at it.
    """

    def take(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, Custody]:
        """The custodies of all these referrals; one that is unknown begins as `awaited`."""
        ...

    def awaited_acceptors(self, transaction: Connection) -> list[str]:
        """The organisations that accepted cases which are held, and so wait for their keys."""
        ...

    def waiting_for(self, transaction: Connection, acceptor: str, limit: int) -> list[str]:
        """The referrals of some custodies that wait for this acceptor's key. None of them is taken yet."""
        ...

    def put(self, transaction: Connection, custodies: Iterable[Custody], now: dt.datetime) -> None:
        """Writes back custodies that were taken."""
        ...

    def keep(self, transaction: Connection, cases: Mapping[str, SealedCase]) -> None:
        """Stores sealed cases by referral."""
        ...

    def sealed(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, SealedCase]:
        """The sealed cases of these referrals, as far as there are any."""
        ...

    def destroy(self, transaction: Connection, referral_ids: Collection[str]) -> None:
        """Deletes sealed cases, wrapped keys first of all. There is no way back. Repeatable."""
        ...


class UnusableKey(ValueError):
    """An organisation's sealing key that nothing can be sealed to."""


class CustodyKey(Protocol):
    """The hub's custody key. Plaintext leaves it only as the return value of `open`."""

    @property
    def kid(self) -> str:
        """Its RFC 7638 thumbprint."""
        ...

    def open(self, case: SealedCase) -> bytes:
        """The plaintext. Raises Refused `case-unreadable`: altered, or sealed to another key."""
        ...

    def reseal(self, case: SealedCase, recipient: SealingKey) -> str:
        """The same plaintext, byte for byte, as a compact JWE for the recipient.

        Raises Refused `case-unreadable` as `open` does, and UnusableKey.
        """
        ...


class SealingKeys(Protocol):
    """The published sealing keys of organisations, as this process knows them now."""

    def of(self, organization: str) -> SealingKey | None:
        """None: none is published, as far as is known here."""
        ...
