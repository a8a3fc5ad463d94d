"""What intake's use cases need: a store of what was admitted, and somebody who knows the referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.queries import Query
from services.intake.domain.admission import Admission, Claim, UsedKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A referral that was admitted here."""

    id: str
    sender: str
    submitted_at: dt.datetime


class AdmissionStore(Protocol):
    """What was admitted, by whom, under which Idempotency-Key; and which offers are known here."""

    def claimed(
        self, transaction: Connection, claims: Collection[Claim]
    ) -> Mapping[tuple[str, str], UsedKey]:
        """For each (organisation, key) that was used before: for what, and what was answered."""
        ...

    def record(self, transaction: Connection, admissions: Sequence[Admission], now: dt.datetime) -> None:
        """Writes new referrals and claims. The events are the outbox's concern."""
        ...

    def note_offers(self, transaction: Connection, offers: Sequence[tuple[str, str, str]]) -> None:
        """Remembers (offer id, referral id, organisation). Repeatable."""
        ...

    def offers_to(
        self, transaction: Connection, offer_ids: Collection[str], organization: str
    ) -> Mapping[str, str]:
        """Offer id -> referral id, of those offers that are known here and were made to it."""
        ...

    def shared_with(
        self, transaction: Connection, referral_ids: Collection[str], organization: str
    ) -> Collection[str]:
        """Those referrals that the organisation is known here to have sent, or to have been offered."""
        ...

    def submitted(self, transaction: Connection, referral_id: str) -> Submitted | None:
        """A referral that was admitted here."""
        ...

    def forget_before(self, transaction: Connection, moment: dt.datetime, limit: int) -> int:
        """Deletes at most `limit` Idempotency-Keys older than the moment; returns how many."""
        ...


class Referrals(Protocol):
    """Routing, which knows every referral. Asked over the broker, with a deadline."""

    def ask(self, question: Query) -> Any:
        """The answer as JSON values. Raises Refused as routing does, Unavailable past the deadline."""
        ...
