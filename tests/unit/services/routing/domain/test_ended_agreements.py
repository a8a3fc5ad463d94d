"""The effect of the end of an agreement: open offers that rest on it move on, and cannot be accepted."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.codes import Answer, DeclineReason, DisclosureClass, ReferralStatus, SpecialCategory, Vetting
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferOpened,
    OfferRevoked,
    ReferralUnplaced,
)
from contracts.organization import Agreement
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import act_when_due
from services.routing.domain.offer import AGREEMENT_ENDED, Offer
from services.routing.domain.open_agreement import has_agreement
from services.routing.domain.open_offers import ask_again
from services.routing.domain.part_of import PartOf
from services.routing.domain.standing import revoke_without_agreement
from tests.unit.services.routing.samples import (
    DAY,
    NOW,
    REFERRAL,
    SENDER,
    ReferralDriver,
    agreement,
    network,
    organization,
)

LEGAL, SHELTER, TRAFFICKING = "legal.wage_claim", "basic_needs.shelter", "protection.trafficking"
TODAY = NOW.date()
YESTERDAY = TODAY - dt.timedelta(days=1)


def bilateral(name: str) -> Agreement:
    return agreement(id=f"with-{name.replace('.', '-')}", parties=(SENDER, name))


def make_driver(*receivers: str) -> ReferralDriver:
    driver = ReferralDriver(network(*receivers, agreements=map(bilateral, receivers)))
    driver.submit()
    return driver


def end_agreement(driver: ReferralDriver, name: str) -> None:
    driver.directory.put_agreement(replace(bilateral(name), effective_until=YESTERDAY))


def answer(offer: Offer, what: Answer = Answer.accept) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        answer=what,
        reason=DeclineReason.no_capacity if what is Answer.decline else None,
    )


def test_open_offer_goes_to_the_next_when_the_agreement_ends() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    assert driver.take(revoke_without_agreement(driver.known, driver.context())) == ()
    end_agreement(driver, first.organization)
    revoked, opened = driver.take(revoke_without_agreement(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)
    assert (revoked.offer_id, revoked.reason) == (first.id, AGREEMENT_ENDED)
    assert isinstance(opened, OfferOpened)
    assert opened.organization != first.organization
    assert driver.decisions[-1].trigger is Trigger.agreement_ended
    assert driver.take(revoke_without_agreement(driver.known, driver.context())) == ()


def test_acceptance_after_the_end_of_the_agreement_is_refused_and_the_next_is_asked() -> None:
    """The acceptance would release the case to an organisation that may not have it any more."""
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    end_agreement(driver, first.organization)
    revoked, opened, refused = driver.apply(answer(first))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(opened, OfferOpened)
    assert isinstance(refused, AnswerRefused)
    assert refused.problem["type"].endswith("offer-closed")
    assert driver.known.acceptor is None


def test_late_read_acceptance_after_the_end_of_the_agreement_is_refused() -> None:
    driver = make_driver("ru.one")
    (first,) = driver.known.open_offers
    admitted_at = driver.now
    driver.now = first.deadline + DAY
    driver.take(act_when_due(driver.known, first.id, driver.now, driver.context()))
    end_agreement(driver, first.organization)
    (refused,) = driver.apply(answer(first), admitted_at=admitted_at)
    assert isinstance(refused, AnswerRefused)
    assert driver.known.status is ReferralStatus.unplaced


@pytest.mark.parametrize("side", ["ru.one", SENDER])
def test_party_that_is_taken_out_of_the_agreement_ends_the_offer(side: str) -> None:
    parties = (SENDER, "ru.one", "ru.other")
    driver = ReferralDriver(network("ru.one", agreements=[agreement(parties=parties)]))
    driver.submit()
    left = tuple(name for name in parties if name != side)
    driver.directory.put_agreement(agreement(parties=left))
    revoked, unplaced = driver.take(revoke_without_agreement(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(unplaced, ReferralUnplaced)


def test_agreement_for_less_sensitive_persons_ends_the_offer_about_a_sensitive_one() -> None:
    sensitive = agreement(disclosure=DisclosureClass.sensitive)
    driver = ReferralDriver(network("ru.one", agreements=[sensitive]))
    driver.submit(special_categories=(SpecialCategory.forced_labour,))
    driver.directory.put_agreement(replace(sensitive, disclosure=DisclosureClass.standard))
    revoked, _ = driver.take(revoke_without_agreement(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)


def open_to(needs: tuple[str, ...], whole: tuple[str, ...] = (), agreed: tuple[str, ...] = ()) -> bool:
    """Return whether an offer about these needs, of a part if `whole` is given, may stay open."""
    one = agreement(disclosure=DisclosureClass.sensitive)
    driver = ReferralDriver(network("ru.one", agreements=[one]))
    driver.submit()
    part = PartOf(referral_id="whole", position=1, count=2, whole_needs=whole) if whole else None
    referral = replace(driver.known, facts=replace(driver.known.facts, needs=needs), part=part)
    (offer,) = driver.known.open_offers
    assert has_agreement(referral, offer, driver.directory, TODAY)
    driver.directory.put_agreement(replace(one, needs=agreed))
    return has_agreement(referral, offer, driver.directory, TODAY)


def test_agreement_without_a_further_sensitive_need_ends_the_offer() -> None:
    assert open_to((LEGAL, SHELTER), agreed=(LEGAL,))
    assert not open_to((LEGAL, TRAFFICKING), agreed=(LEGAL,))
    assert open_to((LEGAL, TRAFFICKING), agreed=(LEGAL, TRAFFICKING))


def test_agreement_without_a_sensitive_need_of_the_whole_ends_the_offer_about_a_part() -> None:
    """The acceptor of a part receives the case of the whole."""
    assert not open_to((LEGAL,), whole=(LEGAL, TRAFFICKING), agreed=(LEGAL,))
    assert open_to((LEGAL,), whole=(LEGAL, SHELTER), agreed=(LEGAL,))


def test_offer_stays_open_under_another_agreement() -> None:
    driver = ReferralDriver(network("ru.one", agreements=[bilateral("ru.one"), agreement()]))
    driver.submit()
    end_agreement(driver, "ru.one")
    assert driver.take(revoke_without_agreement(driver.known, driver.context())) == ()
    (accepted,) = driver.apply(answer(driver.known.open_offers[0]))
    assert isinstance(accepted, OfferAccepted)


def test_offers_of_a_suspended_senders_referrals_stay_open() -> None:
    """Its referrals continue: its suspension ends no agreement."""
    driver = ReferralDriver(network("ru.one"))
    driver.submit()
    driver.directory.put_organization(replace(organization(SENDER), services=(), vetting=Vetting.suspended))
    assert driver.take(revoke_without_agreement(driver.known, driver.context())) == ()
    (accepted,) = driver.apply(answer(driver.known.open_offers[0]))
    assert isinstance(accepted, OfferAccepted)


def test_agreement_is_in_force_on_its_last_day() -> None:
    driver = make_driver("ru.one")
    driver.directory.put_agreement(replace(bilateral("ru.one"), effective_until=TODAY))
    driver.now = dt.datetime.combine(TODAY, dt.time.max, dt.UTC)
    assert driver.take(revoke_without_agreement(driver.known, driver.context())) == ()
    driver.now += dt.timedelta(microseconds=1)
    revoked, _ = driver.take(revoke_without_agreement(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)


def test_organization_is_asked_again_under_a_new_agreement() -> None:
    driver = make_driver("ru.one")
    end_agreement(driver, "ru.one")
    driver.take(revoke_without_agreement(driver.known, driver.context()))
    assert driver.take(ask_again(driver.known, driver.context())) == ()
    driver.directory.put_agreement(bilateral("ru.one"))
    (opened,) = driver.take(ask_again(driver.known, driver.context()))
    assert isinstance(opened, OfferOpened)


def test_decline_after_the_end_of_the_agreement_counts() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    end_agreement(driver, first.organization)
    declined, _ = driver.apply(answer(first, Answer.decline))
    assert isinstance(declined, OfferDeclined)


def test_acceptance_of_an_offer_to_another_organization_revokes_nothing() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    end_agreement(driver, first.organization)
    (refused,) = driver.apply(replace(answer(first), organization="ru.other"))
    assert isinstance(refused, AnswerRefused)
    assert refused.problem["type"].endswith("not-found")
    assert driver.known.open_offers == (first,)
