"""What intake's use cases need: a store of what was admitted, and somebody who knows the referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.queries import Question
from services.intake.domain.admission import Admission, Claim


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
    ) -> Mapping[tuple[str, str], tuple[str, str]]:
        """For each (organisation, key) that was used before: its fingerprint and what was answered."""
        ...

    def record(self, transaction: Connection, admissions: Sequence[Admission], now: dt.datetime) -> None:
        """Writes new referrals and claims. The events are the outbox's concern."""
        ...

    def note_offers(self, transaction: Connection, offers: Sequence[tuple[str, str, str]]) -> None:
        """Remembers (offer id, referral id, organisation). Repeatable."""
        ...

    def offer(self, transaction: Connection, offer_id: str) -> tuple[str, str] | None:
        """(referral id, organisation) of an offer; None while it is not known here."""
        ...

    def is_party(self, transaction: Connection, referral_id: str, organization: str) -> bool:
        """Whether it is known here that the organisation sent the referral or was offered it."""
        ...

    def submitted(self, transaction: Connection, referral_id: str) -> Submitted | None:
        """A referral that was admitted here."""
        ...

    def forget_before(self, transaction: Connection, moment: dt.datetime) -> int:
        """Deletes Idempotency-Keys older than the moment; returns how many."""
        ...


class Referrals(Protocol):
    """Routing, which knows every referral. Asked over the broker, with a deadline."""

    def ask(self, question: Question) -> Any:
        """The answer as JSON values. Raises Refused as routing does, Unavailable past the deadline."""
        ...
