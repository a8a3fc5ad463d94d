"""The stories of the sample network."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.codes import OPT_IN_KINDS, Answer, DeclineReason, OrganizationKind, ReferralStatus
from contracts.facts import (
    AnswerSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferOpened,
    OfferRevoked,
    PlacementSubmitted,
    ReferralSubmitted,
    ReferralUnplaced,
)
from sandbox.network import SampleNetwork, SampleReferral, load
from services.routing.domain.directory import Directory
from services.routing.domain.lifecycle import act_when_due
from services.routing.domain.offer import Offer
from services.routing.domain.rules import RULES
from tests.unit.services.routing.samples import KEY, REFERRAL, ReferralDriver

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def sample() -> SampleNetwork:
    return load()


@pytest.fixture(scope="module")
def directory(sample: SampleNetwork) -> Directory:
    """The sample directory, with a sealing key for each organisation as `kopuro up` creates it."""
    directory = Directory()
    for organization in sample.organizations:
        directory.put_organization(replace(organization, sealing_key=KEY))
    for agreement in sample.agreements:
        directory.put_agreement(agreement)
    return directory


def begun(directory: Directory, sample: SampleReferral) -> ReferralDriver:
    """Submit a sample referral as its sender."""
    driver = ReferralDriver(directory)
    driver.apply(ReferralSubmitted(referral_id=REFERRAL, sender=sample.sender, facts=sample.facts))
    return driver


def answer(driver: ReferralDriver, offer: Offer, what: Answer) -> list[type]:
    reason = DeclineReason.no_capacity if what is Answer.decline else None
    published = driver.apply(
        AnswerSubmitted(
            referral_id=REFERRAL,
            offer_id=offer.id,
            organization=offer.organization,
            answer=what,
            reason=reason,
        )
    )
    return [type(fact) for fact in published]


def kind_of(directory: Directory, name: str) -> OrganizationKind:
    organization = directory.organization(name)
    assert organization is not None
    return organization.kind


def test_declined_referral_is_accepted_by_second_candidate(
    sample: SampleNetwork, directory: Directory
) -> None:
    driver = begun(directory, sample.referral("second-candidate"))
    (first,) = driver.known.open_offers
    assert answer(driver, first, Answer.decline) == [OfferDeclined, OfferOpened]
    (second,) = driver.known.open_offers
    assert second.organization != first.organization
    assert answer(driver, second, Answer.accept) == [OfferAccepted]
    assert driver.known.acceptor == second.organization


def test_silent_candidate_is_followed_by_the_next(sample: SampleNetwork, directory: Directory) -> None:
    driver = begun(directory, sample.referral("expires"))
    (silent,) = driver.known.open_offers
    driver.now = silent.deadline
    published = driver.take(act_when_due(driver.known, silent.id, driver.now, driver.context()))
    assert [type(fact) for fact in published] == [OfferExpired, OfferOpened]
    (following,) = driver.known.open_offers
    assert following.organization != silent.organization


def test_representative_without_opt_in_is_never_asked(sample: SampleNetwork, directory: Directory) -> None:
    driver = begun(directory, sample.referral("consulate-forbidden"))
    (decision,) = driver.decisions
    forbidden = [c for c in decision.candidates if c.organization == "kg.representative-tyumen"]
    assert forbidden
    # consent must be the only failed rule, otherwise the test would prove nothing
    assert [failure.rule for c in forbidden for failure in c.failures] == ["kind_consented"]
    (offer,) = driver.known.open_offers
    assert kind_of(directory, offer.organization) is OrganizationKind.ngo
    while driver.known.open_offers:
        answer(driver, driver.known.open_offers[0], Answer.decline)
    assert driver.known.status is ReferralStatus.unplaced
    assert all(kind_of(directory, o.organization) not in OPT_IN_KINDS for o in driver.known.offers)


def test_referral_in_unserved_region_is_placed_by_coordinator(
    sample: SampleNetwork, directory: Directory
) -> None:
    driver = begun(directory, sample.referral("nobody"))
    (unplaced,) = driver.facts
    assert isinstance(unplaced, ReferralUnplaced)
    assert unplaced.reason == "no_candidate"
    published = driver.apply(
        PlacementSubmitted(
            referral_id=REFERRAL, organization="ru.primorye-seafarers-house", coordinator="kg.desk"
        )
    )
    assert [type(fact) for fact in published] == [OfferOpened]
    assert driver.decisions[-1].overridden == ("area_served",)


def test_emergency_is_offered_to_three_shelters_and_accepted_by_one(
    sample: SampleNetwork, directory: Directory
) -> None:
    driver = begun(directory, sample.referral("emergency"))
    offers = driver.known.open_offers
    assert len({offer.organization for offer in offers}) == 3
    assert answer(driver, offers[1], Answer.accept) == [OfferAccepted, OfferRevoked, OfferRevoked]


def test_every_sample_referral_has_an_explained_decision(sample: SampleNetwork, directory: Directory) -> None:
    unplaced = set()
    for referral in sample.referrals:
        driver = begun(directory, referral)
        (decision,) = driver.decisions
        assert decision.rules == tuple(RULES)
        if driver.known.status is ReferralStatus.unplaced:
            unplaced.add(referral.key)
        else:
            assert driver.known.status is ReferralStatus.offered, referral.key
    assert unplaced == {"nobody"}


def test_kinds_without_opt_in_are_never_asked(sample: SampleNetwork, directory: Directory) -> None:
    """Every organisation declines each referral until none is left, also without any opt-in."""
    for referral in sample.referrals:
        closed_consent = replace(referral.facts.consent, opt_in_kinds=())
        for facts in (referral.facts, replace(referral.facts, consent=closed_consent)):
            driver = begun(directory, replace(referral, facts=facts))
            while driver.known.open_offers:
                answer(driver, driver.known.open_offers[0], Answer.decline)
            asked = {kind_of(directory, offer.organization) for offer in driver.known.offers}
            assert asked & OPT_IN_KINDS <= set(facts.consent.opt_in_kinds), referral.key
