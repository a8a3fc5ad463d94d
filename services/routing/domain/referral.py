"""A referral and its state machine.

    requested --- candidates ---> offered --- accepted ---> in progress / on hold ---> completed
        |                          |   ^
        '--- none --> unplaced <---'   |          any open state can be withdrawn, fail, or turn
                       | '-- by hand --'          out to have been entered in error
                       '--- an answer in time, read late ---> accepted

An acceptor may hand the referral back, which asks the next candidates in the same transition: accepted, in
progress or on hold ---> requested ---> offered or unplaced.

A referral that no one organisation covers may be split: requested, offered or unplaced ---> split. It has no
offers then, and ends when its parts have ended (`split_ends.py`), or when it is withdrawn or fails.

A coordinator may revoke the acceptance of a suspended acceptor and place the referral elsewhere in one
transition: accepted, in progress or on hold ---> unplaced ---> offered.

Only routing changes a referral's status. The table below is the complete state machine; the diagram in
`docs/journey.md` is generated from it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from contracts.codes import OfferState, Outcome, ReferralStatus, Urgency
from contracts.errors import Refused
from contracts.quick_init import quick_init
from contracts.referral import ReferralFacts
from services.routing.domain.chain import Chain
from services.routing.domain.offer import Offer
from services.routing.domain.part_of import PartOf, part_ids


class ReferralEvent(StrEnum):
    offer = "offer"
    exhaust = "exhaust"
    accept = "accept"
    revoke = "revoke"  # the acceptance of a suspended acceptor
    hand_back = "hand_back"  # by the acceptor
    progress = "progress"
    hold = "hold"
    split = "split"  # type: ignore[assignment]  # its needs continue in parts
    rejoin = "rejoin"  # a late-read acceptance of the whole
    complete = "complete"
    withdraw = "withdraw"
    fail = "fail"
    void = "void"


_S, _E = ReferralStatus, ReferralEvent

_LEAVE: Mapping[ReferralEvent, ReferralStatus] = {
    _E.withdraw: _S.withdrawn,
    _E.fail: _S.failed,
    _E.void: _S.entered_in_error,
}

# state -> {event: state}. A state without events is final.
REFERRAL_TRANSITIONS: Mapping[ReferralStatus, Mapping[ReferralEvent, ReferralStatus]] = {
    _S.requested: {_E.offer: _S.offered, _E.exhaust: _S.unplaced, _E.split: _S.split, **_LEAVE},
    _S.offered: {
        _E.offer: _S.offered,
        _E.exhaust: _S.unplaced,
        _E.accept: _S.accepted,
        _E.split: _S.split,
        **_LEAVE,
    },
    # Acceptance from `unplaced`: the last organisation asked had answered in time, but the answer was read
    # late.
    _S.unplaced: {_E.offer: _S.offered, _E.accept: _S.accepted, _E.split: _S.split, **_LEAVE},
    # Its parts have the offers and acceptors. It rejoins only to be accepted at once.
    _S.split: {_E.complete: _S.completed, _E.rejoin: _S.unplaced, **_LEAVE},
    _S.accepted: {
        _E.progress: _S.in_progress,
        _E.hold: _S.on_hold,
        _E.complete: _S.completed,
        _E.revoke: _S.unplaced,
        _E.hand_back: _S.requested,
        **_LEAVE,
    },
    _S.in_progress: {
        _E.progress: _S.in_progress,
        _E.hold: _S.on_hold,
        _E.complete: _S.completed,
        _E.revoke: _S.unplaced,
        _E.hand_back: _S.requested,
        **_LEAVE,
    },
    _S.on_hold: {
        _E.progress: _S.in_progress,
        _E.hold: _S.on_hold,
        _E.complete: _S.completed,
        _E.revoke: _S.unplaced,
        _E.hand_back: _S.requested,
        **_LEAVE,
    },
    _S.completed: {},
    _S.withdrawn: {},
    _S.failed: {},
    _S.entered_in_error: {},
}


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Referral:
    """A referral as routing stores it. It holds no personal data.

    due_at: with an acceptor, when its missing progress report becomes overdue; otherwise when time alone may
    make a candidate available, None if it cannot. overdue_since: when the report became overdue, None if it
    is not. acceptor_suspended_since: when the acceptor was reported as no longer in good standing, None while
    it is in good standing and without an acceptor. correlation_id: the id of the message that submitted the
    referral. waits_for: (organisation, service) of the candidates that lacked only a place when the referral
    became unplaced. has_facts: False once the facts have been reduced; then only needs (groups), urgency and
    region (country) are true. chain: None unless the sender refers another referral onward with this one.
    part: None unless this is a part. parts: into how many it was split, even if it has rejoined; 0 for one
    that was not. consent_revoked: whether the person has withdrawn the consent, before or after the end.
    traceparent: the span in which the submission was handled, None if there is no trace. left_out: by
    organisation, the reason about the person with which it declined or handed back another part. turn_at: its
    turn in the coordinators' queues, None before it is stored (`coordination_queue.turns_of`).
    """

    id: str
    sender: str
    facts: ReferralFacts
    status: ReferralStatus
    submitted_at: dt.datetime
    updated_at: dt.datetime
    correlation_id: str
    acceptor: str | None = None
    outcome: Outcome | None = None
    due_at: dt.datetime | None = None
    overdue_since: dt.datetime | None = None
    acceptor_suspended_since: dt.datetime | None = None
    offers: tuple[Offer, ...] = ()
    waits_for: frozenset[tuple[str, str]] = frozenset()
    has_facts: bool = True
    chain: Chain | None = None
    part: PartOf | None = None
    parts: int = 0
    traceparent: str | None = None
    turn_at: dt.datetime | None = None
    consent_revoked: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_closed(self) -> bool:
        """Whether the status is final."""
        return not REFERRAL_TRANSITIONS[self.status]

    @property
    def part_ids(self) -> tuple[str, ...]:
        """The ids of its parts, in their order."""
        return part_ids(self.id, self.parts)

    @property
    def family(self) -> tuple[str, ...]:
        """The ids of all referrals that a split has linked with this one, itself included."""
        return (self.id, *self.part_ids) if self.part is None else self.part.family

    @property
    def is_answerable(self) -> bool:
        """Whether an acceptance can still take effect: the referral is open and has no acceptor."""
        return ReferralEvent.accept in REFERRAL_TRANSITIONS[self.status]

    @property
    def open_offers(self) -> tuple[Offer, ...]:
        """The offers that await an answer."""
        return tuple(offer for offer in self.offers if offer.is_open)

    @property
    def awaited_offers(self) -> tuple[Offer, ...]:
        """The offers for whose holders the referral waits: the open ones, or the accepted one."""
        if self.is_closed:
            return ()
        state = OfferState.open if self.acceptor is None else OfferState.accepted
        return tuple(offer for offer in self.offers if offer.state is state)

    @property
    def is_seeking(self) -> bool:
        """Whether another offer may be opened when a candidate becomes available.

        An emergency with open offers may have fewer than the policy wants.
        """
        if self.status is ReferralStatus.offered:
            return self.facts.urgency is Urgency.emergency
        return self.status is ReferralStatus.unplaced

    @property
    def waiting(self) -> frozenset[tuple[str, str]]:
        """The candidates, as (organisation, service), whose next free place the referral may take."""
        return self.waits_for if self.status is ReferralStatus.unplaced else frozenset()

    def offer(self, offer_id: str) -> Offer | None:
        """Return the offer, or None."""
        return next((offer for offer in self.offers if offer.id == offer_id), None)

    def with_offers(self, changed: Iterable[Offer], now: dt.datetime) -> Referral:
        """Return the referral with these offers in place of its own with the same ids."""
        by_id = {offer.id: offer for offer in changed}
        offers = tuple(by_id.get(offer.id, offer) for offer in self.offers)
        return replace(self, offers=offers, updated_at=now)


def next_status(status: ReferralStatus, event: ReferralEvent) -> ReferralStatus:
    """Return the status after the event. Raises Refused `not-in-this-state` if the event is not allowed."""
    target = REFERRAL_TRANSITIONS[status].get(event)
    if target is None:
        raise Refused("not-in-this-state", f"The event `{event}` is not allowed: the referral is {status}.")
    return target


def require_open(referral: Referral) -> None:
    """Raises Refused `not-in-this-state` for a referral that has ended, and says how."""
    if referral.is_closed:
        raise Refused("not-in-this-state", f"The referral is {referral.status}.")
