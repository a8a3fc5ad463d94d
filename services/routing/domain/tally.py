"""The additions of one transaction to the network's counters: ended offers, referrals left unplaced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts.codes import CONSENT_REVOKED, DeclineReason, HandBackReason, OfferState, Urgency
from contracts.facts import ReferralUnplaced
from services.routing.domain.consequences import CONCERN_PERSON
from services.routing.domain.ending import FAILED, WITHDRAWN
from services.routing.domain.offer import (
    ACCEPTED_ELSEWHERE,
    AGREEMENT_ENDED,
    APPROVAL_ENDED,
    ORGANIZATION_CHANGED,
    ORGANIZATION_SUSPENDED,
)
from services.routing.domain.offer_closing import MOVED_ON, NO_ANSWER, REPORT_OVERDUE
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition

# The reason of an end that needs none.
NO_REASON: Final = "none"

# Every way in which an offer may end, so that the number of series is fixed.
REASONS: Final[Mapping[OfferState, tuple[str, ...]]] = {
    OfferState.accepted: (NO_REASON,),
    OfferState.declined: tuple(DeclineReason),
    OfferState.expired: (NO_ANSWER,),
    OfferState.revoked: (
        ACCEPTED_ELSEWHERE,
        ORGANIZATION_SUSPENDED,
        APPROVAL_ENDED,
        AGREEMENT_ENDED,
        ORGANIZATION_CHANGED,
        MOVED_ON,
        REPORT_OVERDUE,
        CONSENT_REVOKED,
        WITHDRAWN,
        FAILED,
        *CONCERN_PERSON,
    ),
    OfferState.returned: tuple(HandBackReason),
}
UNPLACED_REASONS: Final = ("no_candidate", "candidates_exhausted")

_ANSWERS = (OfferState.accepted, OfferState.declined)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferEnd:
    """The end of one offer. result, reason: see `REASONS`.

    answer_seconds: from the opening to the moment when the API received the answer; None if there is no
    answer. An offer that expired and whose answer in time was read later ends twice.
    """

    result: OfferState
    urgency: Urgency
    reason: str
    answer_seconds: float | None = None


@dataclass(slots=True)
class Tally:
    """The sums of one transaction. unplaced: the reasons."""

    ended: list[OfferEnd] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)

    def add(self, before: Referral | None, transition: Transition, answered_at: dt.datetime | None) -> None:
        """Add a transition. answered_at: when the API received the submission, None for a deadline."""
        after = transition.referral
        if after is None:
            return
        self.ended += _ends(before, after, answered_at)
        self.unplaced += [fact.reason for fact in transition.facts if isinstance(fact, ReferralUnplaced)]


def _ends(before: Referral | None, after: Referral, answered_at: dt.datetime | None) -> list[OfferEnd]:
    known = {} if before is None else {offer.id: offer.state for offer in before.offers}
    ends = []
    for offer in after.offers:
        if offer.is_open or known.get(offer.id) is offer.state:
            continue
        seconds = None
        if offer.state in _ANSWERS and answered_at is not None:
            seconds = max(0.0, (answered_at - offer.opened_at).total_seconds())
        ends.append(
            OfferEnd(
                result=offer.state,
                urgency=after.facts.urgency,
                reason=offer.shown_reason or NO_REASON,
                answer_seconds=seconds,
            )
        )
    return ends
