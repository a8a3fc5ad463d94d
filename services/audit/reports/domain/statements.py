"""The entries that an organisation can add to a referral's history without changing anything. Pure.

An organisation states what it likes, and routing decides what takes effect: routing's facts are the steps of
the referral. Each statement and each message about it leaves entries. So they count apart from the steps, and
cannot make the history of a referral too long to read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.facts import (
    CATALOGUE,
    AnswerRefused,
    AnswerSubmitted,
    CoordinatorWithdrawalRefused,
    CoordinatorWithdrawalSubmitted,
    HandBackRefused,
    HandBackSubmitted,
    InterventionRefused,
    InterventionSubmitted,
    NoteSubmitted,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    SubmissionRefused,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from services.audit.reports.domain.readers import READ_TYPES

_DELIVERIES: Final = frozenset(
    name for name, fact in CATALOGUE.items() if fact.routing_key.startswith("delivery.")
)

STATEMENT_TYPES: Final = _DELIVERIES | {
    fact.type
    for fact in (
        AnswerRefused,
        AnswerSubmitted,
        HandBackRefused,
        HandBackSubmitted,
        NoteSubmitted,
        OutcomeSubmitted,
        ProgressSubmitted,
        ReplacementSubmitted,
        RevocationSubmitted,
        SubmissionRefused,
        UnreadableSubmitted,
        WithdrawalSubmitted,
    )
}
# Every other type of a referral's entries, apart from those about reads.
STEP_TYPES: Final = frozenset(CATALOGUE) - STATEMENT_TYPES - READ_TYPES

# The most refusals of one organisation in a story.
MOST_REFUSALS_TOLD: Final = 3
_REFUSALS: Final = frozenset(fact.type for fact in (AnswerRefused, HandBackRefused, SubmissionRefused))
# Their own facts refuse them; a `submission.refused` with the same id is about their note.
_STEPS: Final = frozenset({AnswerSubmitted.type, HandBackSubmitted.type})
# A story has all refused acts of coordinators: their number is bounded.
_ACTS: Final = frozenset(
    fact.type for fact in (PlacementSubmitted, InterventionSubmitted, CoordinatorWithdrawalSubmitted)
)
_REFUSED_ACTS: Final = frozenset(
    fact.type for fact in (PlacementRefused, InterventionRefused, CoordinatorWithdrawalRefused)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedStatement:
    """An entry of a referral. message_id: of its event; data: its content, None once erased or withheld."""

    index: int
    type: str
    message_id: str
    organization: str | None
    data: Mapping[str, Any] | None


def not_told(entries: Iterable[LoggedStatement]) -> Collection[int]:
    """Return the indices of the entries that a story leaves out.

    A submission that was refused did not take effect, so the story has its refusal instead, for each
    organisation the first MOST_REFUSALS_TOLD. It has every refusal of a coordinator's act.
    """
    known = list(entries)
    # The ids of refused submissions, apart from those that a `submission.refused` is about.
    refused: set[object] = set()
    refused_by_vault: set[object] = set()
    for entry in known:
        if entry.type in _REFUSALS | _REFUSED_ACTS:
            ids = refused_by_vault if entry.type == SubmissionRefused.type else refused
            ids.add((entry.data or {}).get("submission_id"))
    left_out = {
        entry.index
        for entry in known
        if entry.type in STATEMENT_TYPES | _ACTS
        and (
            entry.message_id in refused or (entry.type not in _STEPS and entry.message_id in refused_by_vault)
        )
    }
    told: Counter[str | None] = Counter()
    for entry in known:
        if entry.type not in _REFUSALS:
            continue
        told[entry.organization] += 1
        if told[entry.organization] > MOST_REFUSALS_TOLD:
            left_out.add(entry.index)
    return left_out
