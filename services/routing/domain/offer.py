"""An offer: a request to one organisation to take a referral before a deadline.

`close` is the only transition between states, and none leads back to `open`. An answer to a closed offer
(after the deadline, or a second acceptance of an emergency) is refused.

`expired` is provisional. The timer expires an offer when no answer was read. But an answer that the API
received in time may still be in an outbox or a queue, because the broker was down or has a backlog. Such an
answer takes effect when it is read, unless another organisation has accepted the referral meanwhile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.codes import Answer, OfferState
from contracts.errors import Refused
from contracts.quick_init import quick_init

# Reasons of a revocation: another organisation accepted first; the offer's holder is not in good standing;
# the network no longer approves the holder for a sensitive need of the referral; no agreement lets the sender
# disclose the referral to the holder any more; the holder's kind, country or parent changed, and the person's
# consent does not cover it any more. The holder is not told which of the person's choices that was.
ACCEPTED_ELSEWHERE = "accepted_elsewhere"
ORGANIZATION_SUSPENDED = "organization_suspended"
APPROVAL_ENDED = "approval_ended"
AGREEMENT_ENDED = "agreement_ended"
ORGANIZATION_CHANGED = "organization_changed"
# Those that follow from the directory.
OF_DIRECTORY = frozenset({ORGANIZATION_SUSPENDED, APPROVAL_ENDED, AGREEMENT_ENDED, ORGANIZATION_CHANGED})
# The same as `organization_suspended` for a holder that had accepted: it has held the case. Only the stored
# offer tells them apart.
ACCEPTOR_SUSPENDED = "acceptor_suspended"

# The refusal of a timely answer whose offer expired before it was read, if it can have no effect any more. A
# candidate must not learn from it how the referral continued.
ALREADY_EXPIRED = "The offer has already expired."


class OfferEvent(StrEnum):
    accept = "accept"
    decline = "decline"
    expire = "expire"
    revoke = "revoke"
    hand_back = "hand_back"


# state -> {event: state}. A state without events is final. Only an answer in time leaves `expired`. Only a
# hand-back, or the revocation of a suspended acceptor's acceptance, leaves `accepted`.
OFFER_TRANSITIONS: Mapping[OfferState, Mapping[OfferEvent, OfferState]] = {
    OfferState.open: {
        OfferEvent.accept: OfferState.accepted,
        OfferEvent.decline: OfferState.declined,
        OfferEvent.expire: OfferState.expired,
        OfferEvent.revoke: OfferState.revoked,
    },
    OfferState.accepted: {
        OfferEvent.revoke: OfferState.revoked,
        OfferEvent.hand_back: OfferState.returned,
    },
    OfferState.declined: {},
    OfferState.expired: {
        OfferEvent.accept: OfferState.accepted,
        OfferEvent.decline: OfferState.declined,
    },
    OfferState.revoked: {},
    OfferState.returned: {},
}


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One organisation's offer for a referral.

    rank: the candidate's rank in its decision, from 1. closed_at: when the offer got its present state; of an
    accepted one, when the API received the acceptance. reason: why the offer was not accepted. placed_by: the
    coordinator who placed the referral, None if routing opened the offer. nudged_at: when a coordinator last
    reminded the organisation. step_at: when the policy's next step is due; None if no step is left before the
    deadline. late_answer, late_at: the organisation's first answer that came too late, and when it arrived.
    """

    id: str
    referral_id: str
    organization: str
    service: str
    rank: int
    opened_at: dt.datetime
    deadline: dt.datetime
    state: OfferState = OfferState.open
    closed_at: dt.datetime | None = None
    reason: str | None = None
    placed_by: str | None = None
    nudged_at: dt.datetime | None = None
    step_at: dt.datetime | None = None
    late_answer: Answer | None = None
    late_at: dt.datetime | None = None

    def is_half_over(self, now: dt.datetime) -> bool:
        """Whether half of the answer time has passed."""
        return now - self.opened_at >= self.deadline - now

    @property
    def shown_reason(self) -> str | None:
        """The reason as facts, views and metrics have it."""
        return ORGANIZATION_SUSPENDED if self.reason == ACCEPTOR_SUSPENDED else self.reason

    @property
    def is_open(self) -> bool:
        """Whether the offer awaits an answer."""
        return self.state is OfferState.open


def close(offer: Offer, event: OfferEvent, now: dt.datetime, reason: str | None = None) -> Offer:
    """Return the closed offer. Raises Refused `offer-closed` if the event is not allowed in its state."""
    state = OFFER_TRANSITIONS[offer.state].get(event)
    if state is None:
        ended = "expired" if offer.state is OfferState.expired else f"been {offer.state}"
        raise Refused("offer-closed", f"The offer has already {ended}.")
    return replace(offer, state=state, closed_at=now, reason=reason)


def refuse_if_late(offer: Offer, admitted_at: dt.datetime) -> None:
    """Refuse an answer that was admitted after the deadline. Raises Refused `offer-closed`.

    admitted_at: when the API received the answer. Time in our own queues does not make an answer late.
    """
    if admitted_at > offer.deadline:
        raise Refused("offer-closed", "The answer arrived after the offer's deadline.")
