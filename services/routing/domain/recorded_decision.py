"""A decision as it is stored: its record and the salt of the commitment to it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.commitment import commitment_to
from contracts.facts import CommittedDecision
from contracts.records import dump
from services.routing.domain.decision import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedDecision:
    """record: the decision as JSON, stored byte for byte. salt: 32 random bytes, stored beside it."""

    id: str
    referral_id: str
    decided_at: dt.datetime
    record: bytes
    salt: bytes

    @property
    def committed(self) -> CommittedDecision:
        """What the log keeps of the decision."""
        return CommittedDecision(decision_id=self.id, commitment=commitment_to(self.record, self.salt))


def recorded(decision: Decision, salt: bytes) -> RecordedDecision:
    """Return the decision with its record. salt: random, unique to this decision."""
    return RecordedDecision(
        id=decision.id,
        referral_id=decision.referral_id,
        decided_at=decision.decided_at,
        record=dump(decision),
        salt=salt,
    )
