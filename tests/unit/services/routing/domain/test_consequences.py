"""The consequence of each reason of a decline or a hand-back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.codes import Answer, DeclineReason, HandBackReason, OfferState
from contracts.facts import (
    AnswerSubmitted,
    DirectoryCorrectionSuggested,
    HandBackSubmitted,
    OfferDeclined,
    OfferOpened,
    ReferralHandedBack,
)
from services.routing.domain.consequences import CONSEQUENCES, declined_as_full
from services.routing.domain.lifecycle import act_when_due, apply, remind
from services.routing.domain.observation import NOTHING_OBSERVED, Observation
from services.routing.domain.offer import (
    ACCEPTED_ELSEWHERE,
    AGREEMENT_ENDED,
    APPROVAL_ENDED,
    ORGANIZATION_CHANGED,
    ORGANIZATION_SUSPENDED,
)
from tests.support.events import message_of
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    REFERRAL,
    ReferralDriver,
    network,
    organization,
    service,
)

PARTS = {"not_eligible": "eligibility", "out_of_area": "areas", "language": "languages"}


def offered(*receivers: str) -> ReferralDriver:
    driver = ReferralDriver(network(*receivers))
    driver.submit()
    return driver


def answer(driver: ReferralDriver, reason: DeclineReason | None = None) -> AnswerSubmitted:
    (offer,) = driver.known.open_offers
    return AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        answer=Answer.accept if reason is None else Answer.decline,
        reason=reason,
    )


def test_every_reason_has_a_consequence() -> None:
    assert CONSEQUENCES.keys() == {*DeclineReason, *HandBackReason}


@pytest.mark.parametrize("reason", list(DeclineReason))
def test_decline_suggests_a_correction_for_reasons_that_contradict_the_directory(
    reason: DeclineReason,
) -> None:
    driver = offered("ru.one", "ru.two")
    published = driver.apply(answer(driver, reason))
    declined = published[0]
    assert isinstance(declined, OfferDeclined)
    suggested = [fact for fact in published if isinstance(fact, DirectoryCorrectionSuggested)]
    part = PARTS.get(reason)
    assert [fact.part for fact in suggested] == ([] if part is None else [part])
    for fact in suggested:
        assert fact == DirectoryCorrectionSuggested(
            referral_id=REFERRAL,
            offer_id=declined.offer_id,
            organization=declined.organization,
            service="legal",
            reason=reason,
            part=PARTS[reason],
        )


@pytest.mark.parametrize("reason", list(HandBackReason))
def test_hand_back_has_the_consequences_of_a_decline(reason: HandBackReason) -> None:
    driver = offered("ru.one")
    driver.apply(answer(driver))
    submission = HandBackSubmitted(referral_id=REFERRAL, organization="ru.one", reason=reason)
    event = message_of(submission, REFERRAL, time=driver.now)
    step = apply(driver.known, event, driver.context())
    assert isinstance(step.facts[0], ReferralHandedBack)
    parts = [fact.part for fact in step.facts if isinstance(fact, DirectoryCorrectionSuggested)]
    assert parts == ([PARTS[reason]] if reason in PARTS else [])
    full = {"legal": NOW} if reason is HandBackReason.no_capacity else {}
    assert step.observed == {"ru.one": Observation(returned=1, full_since=full)}


@pytest.mark.parametrize("reason", list(DeclineReason))
def test_decline_makes_the_service_full_for_lack_of_capacity_only(reason: DeclineReason) -> None:
    driver = offered("ru.one")
    step = apply(
        driver.known, message_of(answer(driver, reason), REFERRAL, time=NOW + HOUR), driver.context()
    )
    full = {"legal": NOW + HOUR} if reason is DeclineReason.no_capacity else {}
    assert step.observed["ru.one"].full_since == full


def test_latest_moment_at_which_a_service_was_full_is_kept() -> None:
    early, late = Observation(full_since={"a": NOW}), Observation(full_since={"a": NOW + HOUR, "b": NOW})
    assert early.plus(late).full_since == late.plus(early).full_since == {"a": NOW + HOUR, "b": NOW}


@pytest.mark.parametrize("reason", list(DeclineReason))
def test_referral_asks_again_after_lack_of_capacity_only(reason: DeclineReason) -> None:
    driver = offered("ru.one")
    driver.apply(answer(driver, reason))
    assert driver.known.due_at is None  # only a change of the directory can help
    room = replace(service().capacity, updated_at=NOW + HOUR)
    driver.directory.put_organization(organization("ru.one", service(capacity=room)))
    driver.now = NOW + DAY
    driver.take(remind(replace(driver.known, due_at=driver.now), driver.context()))
    asked = [fact for fact in driver.facts if isinstance(fact, OfferOpened)]
    assert len(asked) == (2 if reason is DeclineReason.no_capacity else 1)


def test_second_decline_is_final_unless_it_is_for_lack_of_capacity_too() -> None:
    driver = offered("ru.one")
    driver.apply(answer(driver, DeclineReason.no_capacity))
    assert declined_as_full(driver.known) == {"ru.one": NOW}
    room = replace(service().capacity, updated_at=NOW + HOUR)
    driver.directory.put_organization(organization("ru.one", service(capacity=room)))
    driver.now = NOW + DAY
    driver.take(remind(replace(driver.known, due_at=driver.now), driver.context()))
    (offer,) = driver.known.open_offers
    driver.now = offer.deadline
    driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))
    assert declined_as_full(driver.known) == {}


@pytest.mark.parametrize(
    "reason",
    [ACCEPTED_ELSEWHERE, ORGANIZATION_SUSPENDED, APPROVAL_ENDED, AGREEMENT_ENDED, ORGANIZATION_CHANGED],
)
def test_lost_offer_leaves_the_earlier_decline_for_lack_of_capacity(reason: str) -> None:
    """The organisation lost its second offer through no act of its own: it may be asked again."""
    driver = offered("ru.one")
    driver.apply(answer(driver, DeclineReason.no_capacity))
    (declined,) = driver.known.offers
    lost = replace(declined, id="second", state=OfferState.revoked, reason=reason, closed_at=NOW + HOUR)
    assert declined_as_full(replace(driver.known, offers=(declined, lost))) == {"ru.one": NOW}


def test_unplaced_referral_is_due_when_the_declined_capacity_no_longer_counts() -> None:
    full = Observation(full_since={"legal": NOW})
    driver = ReferralDriver(
        network("ru.one"), observed=lambda name: full if name == "ru.one" else NOTHING_OBSERVED
    )
    driver.now = NOW + HOUR
    driver.submit()
    assert driver.known.open_offers == ()
    assert driver.known.due_at == NOW + DAY
    driver.now = NOW + DAY
    (opened,) = driver.take(remind(driver.known, driver.context()))
    assert isinstance(opened, OfferOpened)
    assert driver.known.due_at is None
    assert driver.decisions[-1].trigger == "time_passed"
