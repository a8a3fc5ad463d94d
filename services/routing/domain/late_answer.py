"""An answer that came too late, as its offer keeps it for whoever looks after the referral.

The answer is refused and changes nothing of the referral. Refusals are no steps of its view, because an
organisation can cause any number of them; an offer keeps one late answer, its first.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from contracts.codes import Answer, OfferState
from contracts.facts import AnswerSubmitted, Fact
from services.routing.domain.referral import Referral

# An offer that ended without an answer of its organisation.
_ENDED_WITHOUT_ANSWER: Final = frozenset({OfferState.expired, OfferState.revoked})


@dataclass(frozen=True, kw_only=True, slots=True)
class LateAnswer:
    """A late answer to an offer. at: when the API received it."""

    offer_id: str
    answer: Answer
    at: dt.datetime


def late_answer(referral: Referral, submission: Fact, arrived_at: dt.datetime) -> LateAnswer | None:
    """Return the late answer that a refused submission is; None for any other one.

    arrived_at: when the API received it. Late: the deadline had passed, or the offer had expired or been
    revoked, as when another organisation accepts. An offer that its organisation has answered has no late
    answer.
    """
    if not isinstance(submission, AnswerSubmitted):
        return None
    offer = referral.offer(submission.offer_id)
    if offer is None or offer.organization != submission.organization:
        return None
    is_over = offer.is_open and arrived_at > offer.deadline
    if not is_over and offer.state not in _ENDED_WITHOUT_ANSWER:
        return None
    return LateAnswer(offer_id=offer.id, answer=submission.answer, at=arrived_at)
