"""An offer: one organisation is asked, with a deadline, whether it takes the referral.

`close` is the only way out of `open`, and there is no way back. Whoever comes later (an answer after the
deadline, a second acceptance of an emergency) finds the offer closed and is refused.

One end is provisional. The timer says `expired` when it has heard nothing; but an answer that reached the
network's door in time may still lie in an outbox or a queue, because of a broker that was down or a backlog.
It counts when it is read, as long as nobody else has accepted the referral meanwhile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from contracts.codes import OfferState
from contracts.errors import Refused


class OfferEvent(StrEnum):
    accept = "accept"
    decline = "decline"
    expire = "expire"
    revoke = "revoke"


# state -> {event: state}. A state without events is an end. Out of `expired` leads only an answer in time.
OFFER_TRANSITIONS: Mapping[OfferState, Mapping[OfferEvent, OfferState]] = {
    OfferState.open: {
        OfferEvent.accept: OfferState.accepted,
        OfferEvent.decline: OfferState.declined,
        OfferEvent.expire: OfferState.expired,
        OfferEvent.revoke: OfferState.revoked,
    },
    OfferState.accepted: {},
    OfferState.declined: {},
    OfferState.expired: {
        OfferEvent.accept: OfferState.accepted,
        OfferEvent.decline: OfferState.declined,
    },
    OfferState.revoked: {},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """rank: the candidate's place in its decision, 1 for the best. reason: why it was not accepted.

    placed_by: the coordinator who placed it by hand, None for an offer that routing opened itself.
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

    @property
    def is_open(self) -> bool:
        """Whether an answer is waited for."""
        return self.state is OfferState.open


def close(offer: Offer, event: OfferEvent, now: dt.datetime, reason: str | None = None) -> Offer:
    """The offer after the event. Raises Refused `offer-closed`; the offer is then as it was."""
    state = OFFER_TRANSITIONS[offer.state].get(event)
    if state is None:
        raise Refused("offer-closed", f"The offer is {offer.state}: it can no longer be answered.")
    return replace(offer, state=state, closed_at=now, reason=reason)


def refuse_if_late(offer: Offer, admitted_at: dt.datetime) -> None:
    """Raises Refused `offer-closed` for an answer that was admitted after the deadline.

    What counts is when the answer reached the network's door, not when routing came to read it: an
    organisation that answered in time is not made late by our own queue.
    """
    if admitted_at > offer.deadline:
        raise Refused("offer-closed", "The deadline of the offer had passed when the answer came.")
