"""The effect of a suspension: open offers move to the next candidate, accepted referrals are reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.codes import (
    Answer,
    DeclineReason,
    OfferState,
    Outcome,
    ProgressStatus,
    ReferralStatus,
    Urgency,
    Vetting,
)
from contracts.facts import (
    AcceptanceRevoked,
    AnswerRefused,
    AnswerSubmitted,
    OfferDeclined,
    OfferOpened,
    OfferRevoked,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralAcceptorSuspended,
    ReferralUnplaced,
    SubmissionRefused,
)
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import act_when_due
from services.routing.domain.observation import load_between
from services.routing.domain.offer import ORGANIZATION_SUSPENDED, Offer
from services.routing.domain.open_offers import ask_again, place
from services.routing.domain.standing import revoke_suspended, suspended_acceptor
from services.routing.domain.timeline import entry_of
from tests.unit.services.routing.samples import (
    DAY,
    NOW,
    REFERRAL,
    ReferralDriver,
    load,
    network,
    organization,
)


def make_driver(*receivers: str, **changes: object) -> ReferralDriver:
    driver = ReferralDriver(network(*receivers))
    driver.submit(**changes)
    return driver


def suspend(
    driver: ReferralDriver, name: str, vetting: Vetting = Vetting.suspended, *, active: bool = True
) -> None:
    driver.directory.put_organization(organization(name, vetting=vetting, active=active))


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
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    suspend(driver, first.organization, vetting, active=active)
    revoked, opened = driver.take(revoke_suspended(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)
    assert (revoked.offer_id, revoked.reason) == (first.id, ORGANIZATION_SUSPENDED)
    assert isinstance(opened, OfferOpened)
    assert opened.organization != first.organization
    assert driver.known.status is ReferralStatus.offered
    assert driver.decisions[-1].trigger is Trigger.organization_suspended
    assert driver.take(revoke_suspended(driver.known, driver.context())) == ()


def test_readmitted_organization_is_asked_again() -> None:
    driver = make_driver("ru.one")
    suspend(driver, "ru.one")
    driver.take(revoke_suspended(driver.known, driver.context()))
    assert driver.known.status is ReferralStatus.unplaced
    driver.directory.put_organization(organization("ru.one"))
    (opened,) = driver.take(ask_again(driver.known, driver.context()))
    assert isinstance(opened, OfferOpened)
    assert opened.organization == "ru.one"


def test_referral_without_another_candidate_is_unplaced_and_can_be_placed() -> None:
    driver = make_driver("ru.one")
    suspend(driver, "ru.one")
    revoked, unplaced = driver.take(revoke_suspended(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(unplaced, ReferralUnplaced)
    assert driver.known.status is ReferralStatus.unplaced
    driver.directory.put_organization(organization("ru.new"))
    placement = PlacementSubmitted(referral_id=REFERRAL, organization="ru.new", coordinator="kg.coordinator")
    (opened,) = driver.apply(placement)
    assert isinstance(opened, OfferOpened)


def test_emergency_keeps_its_other_offers_and_asks_one_more() -> None:
    driver = make_driver("ru.one", "ru.two", "ru.three", "ru.four", urgency=Urgency.emergency)
    asked = {offer.organization for offer in driver.known.open_offers}
    lost = sorted(asked)[0]
    suspend(driver, lost)
    driver.take(revoke_suspended(driver.known, driver.context()))
    now_asked = {offer.organization for offer in driver.known.open_offers}
    assert len(now_asked) == len(asked)
    assert asked - now_asked == {lost}


def test_acceptance_of_suspended_organization_is_refused_and_the_next_is_asked() -> None:
    """The acceptance is read before the timer has revoked the offer."""
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    suspend(driver, first.organization)
    revoked, opened, refused = driver.apply(answer(first))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(opened, OfferOpened)
    assert isinstance(refused, AnswerRefused)
    assert refused.problem["type"].endswith("offer-closed")
    assert driver.known.acceptor is None


def test_late_read_acceptance_of_suspended_organization_is_refused() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    admitted_at = driver.now
    driver.now = first.deadline + DAY
    driver.take(act_when_due(driver.known, first.id, driver.now, driver.context()))
    suspend(driver, first.organization)
    (refused,) = driver.apply(answer(first), admitted_at=admitted_at)
    assert isinstance(refused, AnswerRefused)
    assert driver.known.acceptor is None


def test_decline_of_suspended_organization_counts() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    suspend(driver, first.organization)
    declined, opened = driver.apply(answer(first, Answer.decline))
    assert isinstance(declined, OfferDeclined)
    assert isinstance(opened, OfferOpened)


def test_held_referral_of_suspended_acceptor_is_reported_and_stays_as_it_is() -> None:
    driver = make_driver("ru.one")
    driver.apply(answer(driver.known.open_offers[0]))
    before = driver.known
    assert suspended_acceptor(before, driver.context()) is None
    suspend(driver, "ru.one")
    assert suspended_acceptor(before, driver.context()) == ReferralAcceptorSuspended(
        referral_id=REFERRAL,
        sender=before.sender,
        organization="ru.one",
        urgency=before.facts.urgency,
        region=before.facts.region,
        needs=before.facts.needs,
    )
    assert driver.take(revoke_suspended(before, driver.context())) == ()
    assert driver.known == before
    assert {offer.state for offer in driver.known.offers} == {OfferState.accepted}


def test_step_of_a_suspended_acceptor_in_the_timeline_repeats_no_facts() -> None:
    driver = make_driver("ru.one")
    driver.apply(answer(driver.known.open_offers[0]))
    suspend(driver, "ru.one")
    fact = suspended_acceptor(driver.known, driver.context())
    assert fact is not None
    assert fact.needs
    step = entry_of(fact, REFERRAL, NOW)
    assert (step.organization, step.detail) == ("ru.one", {})


def test_ended_referral_of_suspended_acceptor_is_not_reported() -> None:
    driver = make_driver("ru.one")
    driver.apply(answer(driver.known.open_offers[0]))
    submission = OutcomeSubmitted(referral_id=REFERRAL, organization="ru.one", outcome=Outcome.resolved)
    driver.apply(submission)
    suspend(driver, "ru.one")
    assert suspended_acceptor(driver.known, driver.context()) is None
    assert suspended_acceptor(replace(driver.known, acceptor=None), driver.context()) is None


def held_referral() -> ReferralDriver:
    """Return a referral that ru.one has accepted; ru.two could take it."""
    driver = make_driver("ru.one")
    driver.apply(answer(driver.known.open_offers[0]))
    driver.directory.put_organization(organization("ru.two"))
    return driver


def placement(organization: str = "ru.two") -> PlacementSubmitted:
    return PlacementSubmitted(referral_id=REFERRAL, organization=organization, coordinator="kg.coordinator")


@pytest.mark.parametrize("progress", [None, ProgressStatus.in_progress, ProgressStatus.on_hold])
def test_placement_revokes_acceptance_of_suspended_acceptor(progress: ProgressStatus | None) -> None:
    driver = held_referral()
    if progress is not None:
        driver.apply(ProgressSubmitted(referral_id=REFERRAL, organization="ru.one", status=progress))
    (offer,) = driver.known.offers
    suspend(driver, "ru.one")
    revoked, opened = driver.apply(placement())
    assert revoked == AcceptanceRevoked(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization="ru.one",
        sender=driver.known.sender,
        coordinator="kg.coordinator",
    )
    assert isinstance(opened, OfferOpened)
    assert opened.organization == "ru.two"
    assert (driver.known.status, driver.known.acceptor, driver.known.due_at) == ("offered", None, None)
    assert [one.state for one in driver.known.offers] == ["revoked", "open"]
    driver.apply(answer(driver.known.open_offers[0]))
    assert (driver.known.status, driver.known.acceptor) == ("accepted", "ru.two")


def test_revoked_acceptor_can_report_nothing_more() -> None:
    driver = held_referral()
    suspend(driver, "ru.one")
    driver.apply(placement())
    (refused,) = driver.apply(
        OutcomeSubmitted(referral_id=REFERRAL, organization="ru.one", outcome=Outcome.resolved)
    )
    assert isinstance(refused, SubmissionRefused)
    assert driver.known.status is ReferralStatus.offered


def test_placement_of_referral_whose_acceptor_is_not_suspended_is_refused() -> None:
    driver = held_referral()
    before = driver.known
    (refused,) = driver.apply(placement())
    assert isinstance(refused, PlacementRefused)
    assert refused.problem["type"].endswith("not-in-this-state")
    assert driver.known == before


def test_placement_that_no_rule_allows_keeps_the_acceptance() -> None:
    driver = held_referral()
    suspend(driver, "ru.one")
    before = driver.known
    (refused,) = driver.apply(placement("ru.one"))
    assert isinstance(refused, PlacementRefused)
    assert driver.known == before


def test_revoked_acceptance_no_longer_counts_as_load() -> None:
    driver = held_referral()
    suspend(driver, "ru.one")
    before = driver.known
    step = place(before, placement(), driver.context())
    assert step.referral is not None
    assert load_between(before, step.referral)["ru.one"] == load(accepted=-1)
