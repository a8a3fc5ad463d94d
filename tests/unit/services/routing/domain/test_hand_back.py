"""Hand-back: the acceptance ends, the next candidate is asked, and the former acceptor is not asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import (
    Answer,
    DeclineReason,
    HandBackReason,
    OfferState,
    Outcome,
    ProgressStatus,
    ReferralStatus,
    Urgency,
)
from contracts.facts import (
    AnswerSubmitted,
    CoordinatorWithdrawalRefused,
    CoordinatorWithdrawalSubmitted,
    DirectoryCorrectionSuggested,
    HandBackRefused,
    HandBackSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    PlacementAnswered,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralHandedBack,
    ReferralUnplaced,
    SubmissionRefused,
)
from services.routing.domain.decision import Trigger
from services.routing.domain.hand_back import hand_back
from services.routing.domain.lifecycle import act_when_due
from services.routing.domain.observation import load_between
from services.routing.domain.offer import Offer
from tests.unit.services.routing.samples import REFERRAL, SENDER, ReferralDriver, network


def answer(offer: Offer, what: Answer = Answer.accept) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=REFERRAL, offer_id=offer.id, organization=offer.organization, answer=what
    )


def held(*receivers: str, **facts: Any) -> ReferralDriver:
    """Return a referral that its first candidate has accepted."""
    driver = ReferralDriver(network(*receivers))
    driver.submit(**facts)
    driver.apply(answer(driver.known.open_offers[0]))
    return driver


def submission(
    organization: str, reason: HandBackReason = HandBackReason.person_prefers_another
) -> HandBackSubmitted:
    return HandBackSubmitted(referral_id=REFERRAL, organization=organization, reason=reason)


@pytest.mark.parametrize("progress", [None, ProgressStatus.in_progress, ProgressStatus.on_hold])
def test_hand_back_asks_next_candidate_in_same_transition(progress: ProgressStatus | None) -> None:
    driver = held("ru.one", "ru.two")
    former = str(driver.known.acceptor)
    if progress is not None:
        driver.apply(ProgressSubmitted(referral_id=REFERRAL, organization=former, status=progress))
    (offer,) = driver.known.offers
    handed_back, opened = driver.apply(submission(former))
    assert handed_back == ReferralHandedBack(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=former,
        sender=SENDER,
        reason=HandBackReason.person_prefers_another,
    )
    assert isinstance(opened, OfferOpened)
    assert {opened.organization, former} == {"ru.one", "ru.two"}
    known = driver.known
    assert (known.status, known.acceptor, known.due_at) == (ReferralStatus.offered, None, None)
    assert [(one.state, one.reason) for one in known.offers] == [
        (OfferState.returned, "person_prefers_another"),
        (OfferState.open, None),
    ]
    assert driver.decisions[-1].trigger is Trigger.handed_back
    driver.apply(answer(known.open_offers[0]))
    assert driver.known.acceptor == opened.organization


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        (HandBackReason.other, "not_asked_before"),
        (HandBackReason.person_prefers_another, "not_declined_for_person"),
    ],
)
def test_former_acceptor_is_not_asked_again(reason: HandBackReason, rule: str) -> None:
    driver = held("ru.one")
    _, unplaced = driver.apply(submission("ru.one", reason))
    assert isinstance(unplaced, ReferralUnplaced)
    assert unplaced.reason == "candidates_exhausted"
    (former,) = driver.decisions[-1].candidates
    assert [failure.rule for failure in former.failures] == [rule]
    assert driver.known.status is ReferralStatus.unplaced


def test_handed_back_emergency_asks_several_candidates_at_once() -> None:
    driver = held("ru.one", "ru.two", "ru.three", "ru.four", "ru.five", "ru.six", urgency=Urgency.emergency)
    driver.apply(submission(str(driver.known.acceptor)))
    assert len(driver.known.open_offers) == driver.policy.emergency_offers


def test_handed_back_emergency_is_offered_again_to_those_that_lost_to_the_acceptor() -> None:
    driver = held("ru.one", "ru.two", "ru.three", urgency=Urgency.emergency)
    former = str(driver.known.acceptor)
    driver.apply(submission(former))
    again = {offer.organization for offer in driver.known.open_offers}
    assert again == {"ru.one", "ru.two", "ru.three"} - {former}
    assert driver.known.status is ReferralStatus.offered


def test_handed_back_referral_is_not_offered_again_after_a_decline_or_an_expiry() -> None:
    driver = ReferralDriver(network("ru.one", "ru.two", "ru.three"))
    driver.submit(urgency=Urgency.emergency)
    silent, unwilling, acceptor = driver.known.open_offers
    driver.apply(replace(answer(unwilling, Answer.decline), reason=DeclineReason.conflict_of_interest))
    admitted = driver.now
    driver.now = silent.deadline
    driver.take(act_when_due(driver.known, silent.id, driver.now, driver.context()))
    driver.apply(answer(acceptor), admitted_at=admitted)
    driver.apply(submission(acceptor.organization))
    assert driver.known.status is ReferralStatus.unplaced


def test_referral_to_named_organization_is_unplaced_after_hand_back() -> None:
    driver = held("ru.one", "ru.two", to="ru.one")
    handed_back, unplaced = driver.apply(submission("ru.one", HandBackReason.other))
    assert isinstance(handed_back, ReferralHandedBack)
    assert isinstance(unplaced, ReferralUnplaced)
    # The coordinator can ask the named organisation again, and no other: only it can open the case.
    placed = PlacementSubmitted(referral_id=REFERRAL, organization="ru.one", coordinator="kg.desk")
    (opened,) = driver.apply(placed)
    assert isinstance(opened, OfferOpened)
    driver.apply(answer(driver.known.open_offers[0]))
    assert driver.known.acceptor == "ru.one"


def test_hand_back_of_placed_offer_is_reported_to_coordinators() -> None:
    driver = ReferralDriver(network("ru.one"))
    driver.submit(region="RU-SPE")
    placed = PlacementSubmitted(referral_id=REFERRAL, organization="ru.one", coordinator="kg.desk")
    driver.apply(placed)
    driver.apply(answer(driver.known.open_offers[0]))
    published = driver.apply(submission("ru.one", HandBackReason.out_of_area))
    (answered,) = [fact for fact in published if isinstance(fact, PlacementAnswered)]
    assert (answered.result, answered.reason) == ("returned", "out_of_area")
    # The record says that it does not serve the region: there is nothing to correct.
    assert not any(isinstance(fact, DirectoryCorrectionSuggested) for fact in published)


@pytest.mark.parametrize("organization", [SENDER, "ru.two", "kz.stranger"])
def test_hand_back_by_another_organization_is_refused(organization: str) -> None:
    driver = held("ru.one")
    before = driver.known
    (refused,) = driver.apply(submission(organization))
    assert isinstance(refused, HandBackRefused)
    assert refused.organization == organization
    assert refused.problem["type"].endswith(":not-a-party")
    assert driver.known is before


def test_hand_back_without_acceptance_is_refused() -> None:
    driver = ReferralDriver(network("ru.one"))
    driver.submit()
    (refused,) = driver.apply(submission("ru.one"))
    assert isinstance(refused, HandBackRefused)
    assert refused.problem["type"].endswith(":not-a-party")


def test_hand_back_of_completed_referral_is_refused() -> None:
    driver = held("ru.one", "ru.two")
    former = str(driver.known.acceptor)
    driver.apply(OutcomeSubmitted(referral_id=REFERRAL, organization=former, outcome=Outcome.resolved))
    (refused,) = driver.apply(submission(former))
    assert isinstance(refused, HandBackRefused)
    assert refused.problem["type"].endswith(":not-in-this-state")
    assert driver.known.status is ReferralStatus.completed


def test_former_acceptor_can_report_nothing_more() -> None:
    driver = held("ru.one", "ru.two")
    former = str(driver.known.acceptor)
    driver.apply(submission(former))
    before = driver.known
    outcome = OutcomeSubmitted(referral_id=REFERRAL, organization=former, outcome=Outcome.resolved)
    assert isinstance(driver.apply(outcome)[0], SubmissionRefused)
    assert isinstance(driver.apply(submission(former))[0], HandBackRefused)
    withdrawal = CoordinatorWithdrawalSubmitted(
        referral_id=REFERRAL, organization=former, coordinator="kg.desk", reason="consent_revoked"
    )
    assert isinstance(driver.apply(withdrawal)[0], CoordinatorWithdrawalRefused)
    assert driver.known is before


def test_handed_back_referral_no_longer_counts_as_load() -> None:
    driver = held("ru.one")
    step = hand_back(driver.known, submission("ru.one"), driver.context())
    assert step.referral is not None
    change = load_between(driver.known, step.referral)["ru.one"]
    assert {name: load.accepted for name, load in change.services.items()} == {"legal": -1}
