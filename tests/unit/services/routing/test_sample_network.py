"""The sample network's stories, as they are told."""

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
from services.routing.domain.lifecycle import expire
from services.routing.domain.offer import Offer
from services.routing.domain.rules import RULES
from tests.unit.services.routing.samples import KEY, REFERRAL, Life

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def sample() -> SampleNetwork:
    return load()


@pytest.fixture(scope="module")
def directory(sample: SampleNetwork) -> Directory:
    """Everybody has a sealing key, as `kopuro up` gives it."""
    directory = Directory()
    for organization in sample.organizations:
        directory.put_organization(replace(organization, sealing_key=KEY))
    for agreement in sample.agreements:
        directory.put_agreement(agreement)
    return directory


def begun(directory: Directory, sample: SampleReferral) -> Life:
    """A sample referral, said by its own sender."""
    life = Life(directory)
    life.say(ReferralSubmitted(referral_id=REFERRAL, sender=sample.sender, facts=sample.facts))
    return life


def answer(life: Life, offer: Offer, what: Answer) -> list[type]:
    reason = DeclineReason.no_capacity if what is Answer.decline else None
    told = life.say(
        AnswerSubmitted(
            referral_id=REFERRAL,
            offer_id=offer.id,
            organization=offer.organization,
            answer=what,
            reason=reason,
        )
    )
    return [type(fact) for fact in told]


def kind_of(directory: Directory, name: str) -> OrganizationKind:
    organization = directory.organization(name)
    assert organization is not None
    return organization.kind


def test_the_second_candidate_takes_it(sample: SampleNetwork, directory: Directory) -> None:
    life = begun(directory, sample.referral("second-candidate"))
    (first,) = life.known.open_offers
    assert answer(life, first, Answer.decline) == [OfferDeclined, OfferOpened]
    (second,) = life.known.open_offers
    assert second.organization != first.organization
    assert answer(life, second, Answer.accept) == [OfferAccepted]
    assert life.known.acceptor == second.organization


def test_the_first_stays_silent_and_the_next_is_asked(sample: SampleNetwork, directory: Directory) -> None:
    life = begun(directory, sample.referral("expires"))
    (silent,) = life.known.open_offers
    life.now = silent.deadline
    told = life.take(expire(life.known, silent.id, life.context()))
    assert [type(fact) for fact in told] == [OfferExpired, OfferOpened]
    (following,) = life.known.open_offers
    assert following.organization != silent.organization


def test_the_representative_is_not_told(sample: SampleNetwork, directory: Directory) -> None:
    life = begun(directory, sample.referral("consulate-forbidden"))
    (decision,) = life.decisions
    forbidden = [c for c in decision.candidates if c.organization == "kg.representative-tyumen"]
    assert forbidden
    # the consent is the only thing in the way: otherwise the explanation would prove nothing
    assert [failure.rule for c in forbidden for failure in c.failures] == ["kind_consented"]
    (offer,) = life.known.open_offers
    assert kind_of(directory, offer.organization) is OrganizationKind.ngo
    while life.known.open_offers:
        answer(life, life.known.open_offers[0], Answer.decline)
    assert life.known.status is ReferralStatus.unplaced
    assert all(kind_of(directory, o.organization) not in OPT_IN_KINDS for o in life.known.offers)


def test_nobody_serves_kamchatka_and_a_coordinator_asks_vladivostok(
    sample: SampleNetwork, directory: Directory
) -> None:
    life = begun(directory, sample.referral("nobody"))
    (unplaced,) = life.facts
    assert isinstance(unplaced, ReferralUnplaced)
    assert unplaced.reason == "no_candidate"
    told = life.say(
        PlacementSubmitted(
            referral_id=REFERRAL, organization="ru.primorye-seafarers-house", coordinator="kg.desk"
        )
    )
    assert [type(fact) for fact in told] == [OfferOpened]
    assert life.decisions[-1].overridden == ("area_served",)


def test_three_open_houses_are_asked_at_once_and_one_takes_them_in(
    sample: SampleNetwork, directory: Directory
) -> None:
    life = begun(directory, sample.referral("emergency"))
    offers = life.known.open_offers
    assert len({offer.organization for offer in offers}) == 3
    assert answer(life, offers[1], Answer.accept) == [OfferAccepted, OfferRevoked, OfferRevoked]


def test_every_sample_referral_is_decided_and_explained(sample: SampleNetwork, directory: Directory) -> None:
    unplaced = set()
    for referral in sample.referrals:
        life = begun(directory, referral)
        (decision,) = life.decisions
        assert decision.rules == tuple(RULES)
        if life.known.status is ReferralStatus.unplaced:
            unplaced.add(referral.key)
        else:
            assert life.known.status is ReferralStatus.offered, referral.key
    assert unplaced == {"nobody"}


def test_nobody_is_ever_asked_whom_the_person_did_not_opt_in_to(
    sample: SampleNetwork, directory: Directory
) -> None:
    """Each referral, declined by everybody to its very end, also with every opt-in taken away."""
    for referral in sample.referrals:
        closed_consent = replace(referral.facts.consent, opt_in_kinds=())
        for facts in (referral.facts, replace(referral.facts, consent=closed_consent)):
            life = begun(directory, replace(referral, facts=facts))
            while life.known.open_offers:
                answer(life, life.known.open_offers[0], Answer.decline)
            asked = {kind_of(directory, offer.organization) for offer in life.known.offers}
            assert asked & OPT_IN_KINDS <= set(facts.consent.opt_in_kinds), referral.key
