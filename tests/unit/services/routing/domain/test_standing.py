"""What a suspension does to a referral: open offers go to the next candidate, what is held is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.codes import Answer, DeclineReason, OfferState, Outcome, ReferralStatus, Urgency, Vetting
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    OfferDeclined,
    OfferOpened,
    OfferRevoked,
    OutcomeSubmitted,
    PlacementSubmitted,
    ReferralAcceptorSuspended,
    ReferralUnplaced,
)
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import expire
from services.routing.domain.offer import Offer
from services.routing.domain.standing import ORGANIZATION_SUSPENDED, revoke_suspended, suspended_acceptor
from tests.unit.services.routing.samples import DAY, REFERRAL, Life, network, organization


def life(*receivers: str, **changes: object) -> Life:
    of = Life(network(*receivers))
    of.submit(**changes)
    return of


def suspend(of: Life, name: str, vetting: Vetting = Vetting.suspended, *, active: bool = True) -> None:
    of.directory.put_organization(organization(name, vetting=vetting, active=active))


def answer(offer: Offer, what: Answer = Answer.accept) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        answer=what,
        reason=DeclineReason.no_capacity if what is Answer.decline else None,
    )


@pytest.mark.parametrize(
    ("vetting", "active"),
    [
        (Vetting.suspended, True),
        (Vetting.left, True),
        (Vetting.applied, True),
        (Vetting.vetted, False),
    ],
)
def test_open_offer_of_suspended_organization_goes_to_the_next(vetting: Vetting, active: bool) -> None:
    of = life("ru.one", "ru.two")
    (first,) = of.known.open_offers
    suspend(of, first.organization, vetting, active=active)
    revoked, opened = of.take(revoke_suspended(of.known, of.context()))
    assert isinstance(revoked, OfferRevoked)
    assert (revoked.offer_id, revoked.reason) == (first.id, ORGANIZATION_SUSPENDED)
    assert isinstance(opened, OfferOpened)
    assert opened.organization != first.organization
    assert of.known.status is ReferralStatus.offered
    assert of.decisions[-1].trigger is Trigger.organization_suspended
    assert of.take(revoke_suspended(of.known, of.context())) == ()


def test_referral_without_another_candidate_is_unplaced_and_can_be_placed() -> None:
    of = life("ru.one")
    suspend(of, "ru.one")
    revoked, unplaced = of.take(revoke_suspended(of.known, of.context()))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(unplaced, ReferralUnplaced)
    assert of.known.status is ReferralStatus.unplaced
    of.directory.put_organization(organization("ru.new"))
    placement = PlacementSubmitted(referral_id=REFERRAL, organization="ru.new", coordinator="kg.coordinator")
    (opened,) = of.say(placement)
    assert isinstance(opened, OfferOpened)


def test_emergency_keeps_its_other_offers_and_asks_one_more() -> None:
    of = life("ru.one", "ru.two", "ru.three", "ru.four", urgency=Urgency.emergency)
    asked = {offer.organization for offer in of.known.open_offers}
    lost = sorted(asked)[0]
    suspend(of, lost)
    of.take(revoke_suspended(of.known, of.context()))
    now_asked = {offer.organization for offer in of.known.open_offers}
    assert len(now_asked) == len(asked)
    assert asked - now_asked == {lost}


def test_acceptance_of_suspended_organization_is_refused_and_the_next_is_asked() -> None:
    """The accept was read before the sweep came round to the offer."""
    of = life("ru.one", "ru.two")
    (first,) = of.known.open_offers
    suspend(of, first.organization)
    revoked, opened, refused = of.say(answer(first))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(opened, OfferOpened)
    assert isinstance(refused, AnswerRefused)
    assert refused.problem["type"].endswith("offer-closed")
    assert of.known.acceptor is None


def test_late_read_acceptance_of_suspended_organization_is_refused() -> None:
    of = life("ru.one", "ru.two")
    (first,) = of.known.open_offers
    admitted_at = of.now
    of.now = first.deadline + DAY
    of.take(expire(of.known, first.id, of.context()))
    suspend(of, first.organization)
    (refused,) = of.say(answer(first), admitted_at=admitted_at)
    assert isinstance(refused, AnswerRefused)
    assert of.known.acceptor is None


def test_decline_of_suspended_organization_counts() -> None:
    of = life("ru.one", "ru.two")
    (first,) = of.known.open_offers
    suspend(of, first.organization)
    declined, opened = of.say(answer(first, Answer.decline))
    assert isinstance(declined, OfferDeclined)
    assert isinstance(opened, OfferOpened)


def test_held_referral_of_suspended_acceptor_is_reported_and_stays_as_it_is() -> None:
    of = life("ru.one")
    of.say(answer(of.known.open_offers[0]))
    before = of.known
    assert suspended_acceptor(before, of.context()) is None
    suspend(of, "ru.one")
    assert suspended_acceptor(before, of.context()) == ReferralAcceptorSuspended(
        referral_id=REFERRAL, sender=before.sender, organization="ru.one"
    )
    assert of.take(revoke_suspended(before, of.context())) == ()
    assert of.known == before
    assert {offer.state for offer in of.known.offers} == {OfferState.accepted}


def test_ended_referral_of_suspended_acceptor_is_not_reported() -> None:
    of = life("ru.one")
    of.say(answer(of.known.open_offers[0]))
    said = OutcomeSubmitted(referral_id=REFERRAL, organization="ru.one", outcome=Outcome.resolved)
    of.say(said)
    suspend(of, "ru.one")
    assert suspended_acceptor(of.known, of.context()) is None
    assert suspended_acceptor(replace(of.known, acceptor=None), of.context()) is None
