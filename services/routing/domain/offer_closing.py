"""Closing an offer: its final state, the facts that report it and the change of the observations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.codes import DeclineReason, HandBackReason, OfferState
from contracts.facts import (
    AcceptanceRevoked,
    Fact,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferRevoked,
    PlacementAnswered,
    ReferralHandedBack,
)
from services.routing.domain.consequences import consequence_of, suggested_correction
from services.routing.domain.observation import Observation
from services.routing.domain.offer import ACCEPTOR_SUSPENDED, Offer, OfferEvent, close
from services.routing.domain.referral import Referral

NO_ANSWER = "no_answer"
# A coordinator asks other organisations.
MOVED_ON = "moved_on"
REPORT_OVERDUE = "report_overdue"
# The reasons for which an acceptance is revoked: the offer's holder has held the case.
AFTER_ACCEPTANCE = frozenset({ACCEPTOR_SUSPENDED, REPORT_OVERDUE})


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedOffer:
    """The referral with the closed offer, the facts that report it, and the change of the observations."""

    referral: Referral
    facts: tuple[Fact, ...]
    observed: Mapping[str, Observation] = field(default_factory=dict)


def close_offer(
    referral: Referral,
    offer: Offer,
    event: OfferEvent,
    now: dt.datetime,
    *,
    reason: str | None = None,
    answered_at: dt.datetime | None = None,
    coordinator: str | None = None,
    was_silent: bool = False,
) -> ClosedOffer:
    """Close one offer of a referral. This is the only place where an offer ends.

    reason: why the offer was not accepted, or no longer is; a decline, a revocation and a hand-back need one.
    answered_at: when the API received the answer; an acceptance and a decline need it. coordinator: who
    revokes an accepted offer. was_silent: whether an open offer is revoked because nobody answers it; from
    half of its time on it counts as one that expired. Raises Refused `offer-closed`.
    """
    # An acceptance is dated when the API received it, so that what its answer time adds to the observations
    # can be subtracted exactly, however late it was read.
    at = _answered_by(offer, answered_at, now) if event is OfferEvent.accept else now
    closed = close(offer, event, at, reason)
    return ClosedOffer(
        referral=_with_offer(referral, closed, now),
        facts=(
            _fact(referral, closed, event, coordinator),
            *_placement_answered(closed),
            *suggested_correction(referral, closed),
        ),
        observed=_observed(offer, closed, event, answered_at, now, was_silent=was_silent),
    )


def _with_offer(referral: Referral, closed: Offer, now: dt.datetime) -> Referral:
    offers = tuple(closed if offer.id == closed.id else offer for offer in referral.offers)
    return replace(referral, offers=offers, updated_at=now)


def _fact(referral: Referral, closed: Offer, event: OfferEvent, coordinator: str | None) -> Fact:
    if coordinator is not None:
        assert closed.shown_reason is not None
        return AcceptanceRevoked(
            referral_id=referral.id,
            offer_id=closed.id,
            organization=closed.organization,
            sender=referral.sender,
            coordinator=coordinator,
            reason=closed.shown_reason,
        )
    if event is OfferEvent.accept:
        return OfferAccepted(
            referral_id=referral.id,
            offer_id=closed.id,
            organization=closed.organization,
            sender=referral.sender,
        )
    if event is OfferEvent.expire:
        return OfferExpired(
            referral_id=referral.id,
            offer_id=closed.id,
            organization=closed.organization,
            sender=referral.sender,
        )
    assert closed.reason is not None
    if event is OfferEvent.decline:
        return OfferDeclined(
            referral_id=referral.id,
            offer_id=closed.id,
            organization=closed.organization,
            sender=referral.sender,
            reason=DeclineReason(closed.reason),
        )
    if event is OfferEvent.hand_back:
        return ReferralHandedBack(
            referral_id=referral.id,
            offer_id=closed.id,
            organization=closed.organization,
            sender=referral.sender,
            reason=HandBackReason(closed.reason),
        )
    return OfferRevoked(
        referral_id=referral.id,
        offer_id=closed.id,
        organization=closed.organization,
        sender=referral.sender,
        reason=closed.reason,
    )


def _placement_answered(closed: Offer) -> tuple[Fact, ...]:
    """The coordinators' report about an offer that one of them placed; empty for any other offer."""
    if closed.placed_by is None:
        return ()
    return (
        PlacementAnswered(
            referral_id=closed.referral_id,
            offer_id=closed.id,
            organization=closed.organization,
            coordinator=closed.placed_by,
            result=closed.state.value,
            reason=closed.shown_reason,
        ),
    )


def _answered_by(offer: Offer, answered_at: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    """Return when the API received the answer, between the opening and now: two machines' clocks differ."""
    return now if answered_at is None else min(now, max(offer.opened_at, answered_at))


def _seconds_until(offer: Offer, moment: dt.datetime) -> int:
    return max(0, round((moment - offer.opened_at).total_seconds()))


def _observed(
    offer: Offer,
    closed: Offer,
    event: OfferEvent,
    answered_at: dt.datetime | None,
    now: dt.datetime,
    *,
    was_silent: bool,
) -> Mapping[str, Observation]:
    full_since: Mapping[str, dt.datetime] = {}
    if consequence_of(closed).is_full and (since := answered_at or closed.closed_at) is not None:
        full_since = {offer.service: since}
    if offer.state is OfferState.accepted and offer.closed_at is not None:
        seconds = _seconds_until(offer, offer.closed_at)
        taken_back = Observation(returned=1, answer_seconds=-seconds, full_since=full_since)
        return {offer.organization: taken_back}
    if event is OfferEvent.revoke:
        # Otherwise an organisation that answers nothing would lose nothing while coordinators act in time.
        return {offer.organization: Observation(expired=1)} if was_silent and offer.is_half_over(now) else {}
    if event is OfferEvent.expire:
        return {offer.organization: Observation(expired=1)}
    assert answered_at is not None
    observation = Observation(
        answered=1,
        # Measured up to the API: time in our own queues says nothing about the organisation.
        answer_seconds=_seconds_until(offer, _answered_by(offer, answered_at, now)),
        # An answer in time to an offer that had expired takes the expiry back.
        expired=0 if offer.is_open else -1,
        full_since=full_since,
    )
    return {offer.organization: observation}
