"""An answer that came too late, which its offer keeps for the sender and the coordinators.

The answer is refused and changes nothing of the referral. Refusals are not steps of its view, because an
organisation can cause any number of them; an offer keeps one late answer, its first.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from contracts.codes import Answer, OfferState
from contracts.errors import Refused
from contracts.facts import AnswerSubmitted, Fact
from services.routing.domain.offer import Offer
from services.routing.domain.offer_closing import AFTER_ACCEPTANCE
from services.routing.domain.referral import Referral

# States of an offer that its organisation has not answered.
_UNANSWERED: Final = frozenset({OfferState.open, OfferState.expired, OfferState.revoked})


@dataclass(frozen=True, kw_only=True, slots=True)
class LateAnswer:
    """A late answer to an offer. at: when the API received it."""

    offer_id: str
    answer: Answer
    at: dt.datetime


def late_answer(
    referral: Referral, submission: Fact, arrived_at: dt.datetime, refused: Refused
) -> LateAnswer | None:
    """Return the late answer that a refused submission is; None for any other one.

    referral: before the refusal. arrived_at: when the API received the answer. refused: why it has no effect;
    only `offer-closed` can mean that it was late. Late: it arrived after the deadline, or after the offer was
    revoked, as when another organisation accepts. An answer that arrived in time but was read later is not
    late, and an offer that its organisation has answered has no late answer.
    """
    if not isinstance(submission, AnswerSubmitted) or refused.slug != "offer-closed":
        return None
    offer = referral.offer(submission.offer_id)
    if offer is None or offer.organization != submission.organization or offer.state not in _UNANSWERED:
        return None
    if offer.reason in AFTER_ACCEPTANCE:
        return None
    if arrived_at <= offer.deadline and not _was_revoked_before(offer, arrived_at):
        return None
    return LateAnswer(offer_id=offer.id, answer=submission.answer, at=arrived_at)


def _was_revoked_before(offer: Offer, arrived_at: dt.datetime) -> bool:
    closed_at = offer.closed_at
    return offer.state is OfferState.revoked and closed_at is not None and closed_at <= arrived_at
