"""A decision as it is stored: its record and the salt of the commitment to it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from contracts.commitment import commitment_to
from contracts.facts import CommittedDecision
from contracts.quick_init import quick_init
from contracts.records import dump
from services.routing.domain.candidate_tree import candidates_root
from services.routing.domain.decision import Decision


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedDecision:
    """record: the decision as JSON, stored byte for byte. salt: 32 random bytes, stored beside it.

    asked: the organisations to which it opened offers. candidates: the commitment to what happened to each
    candidate organisation. logged_in: the id of the message that commits to the decision.
    """

    id: str
    referral_id: str
    decided_at: dt.datetime
    record: bytes
    salt: bytes
    asked: tuple[str, ...]
    candidates: str | None
    logged_in: str

    @property
    def committed(self) -> CommittedDecision:
        """Return the part of the decision that the log keeps."""
        return CommittedDecision(
            decision_id=self.id,
            commitment=commitment_to(self.record, self.salt),
            candidates=self.candidates,
        )


def recorded(decision: Decision, salt: bytes, *, asked: tuple[str, ...], logged_in: str) -> RecordedDecision:
    """Return the decision with its record. salt: random, unique to this decision."""
    return RecordedDecision(
        id=decision.id,
        referral_id=decision.referral_id,
        decided_at=decision.decided_at,
        record=dump(decision),
        salt=salt,
        asked=asked,
        candidates=candidates_root(decision.referral_id, decision.candidates.organizations, asked, salt),
        logged_in=logged_in,
    )
