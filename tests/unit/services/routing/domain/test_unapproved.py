"""The effect of the end of an approval: open offers about its needs move on, and cannot be accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import AgeBand, Answer, DeclineReason, DisclosureClass, ReferralStatus, Settlement
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferOpened,
    OfferRevoked,
    ReferralUnplaced,
)
from contracts.organization import ApprovedService, Eligibility, Organization
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import act_when_due
from services.routing.domain.offer import APPROVAL_ENDED, Offer
from services.routing.domain.open_offers import ask_again
from services.routing.domain.standing import revoke_unapproved
from tests.unit.services.routing.samples import (
    DAY,
    NOW,
    REFERRAL,
    ReferralDriver,
    agreement,
    network,
    organization,
    service,
)

WAGES, TRAFFICKING = "legal.wage_claim", "protection.trafficking"
MISSING_PERSON = "protection.missing_person"
APPROVAL = ApprovedService(service="legal", needs=(TRAFFICKING,), by="kg.operator", at=NOW)


def shelter(name: str, *, approved: bool = True) -> Organization:
    known = organization(name, service(needs=(WAGES, TRAFFICKING)))
    return replace(known, approved_services=(APPROVAL,) if approved else ())


def make_driver(*receivers: str, needs: tuple[str, ...] = (TRAFFICKING,)) -> ReferralDriver:
    allowed = (agreement(disclosure=DisclosureClass.sensitive),)
    driver = ReferralDriver(network(*map(shelter, receivers), agreements=allowed))
    driver.submit(needs=needs)
    return driver


def end_approval(driver: ReferralDriver, name: str) -> None:
    driver.directory.put_organization(shelter(name, approved=False))


def answer(offer: Offer, what: Answer = Answer.accept) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        answer=what,
        reason=DeclineReason.no_capacity if what is Answer.decline else None,
    )


@pytest.mark.parametrize("needs", [(TRAFFICKING,), (WAGES, TRAFFICKING)])
def test_open_offer_goes_to_the_next_when_the_approval_ends(needs: tuple[str, ...]) -> None:
    driver = make_driver("ru.one", "ru.two", needs=needs)
    (first,) = driver.known.open_offers
    assert driver.take(revoke_unapproved(driver.known, driver.context())) == ()
    end_approval(driver, first.organization)
    revoked, opened = driver.take(revoke_unapproved(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)
    assert (revoked.offer_id, revoked.reason) == (first.id, APPROVAL_ENDED)
    assert isinstance(opened, OfferOpened)
    assert opened.organization != first.organization
    assert driver.decisions[-1].trigger is Trigger.approval_ended
    assert driver.take(revoke_unapproved(driver.known, driver.context())) == ()


def test_open_offer_of_a_service_that_is_no_longer_in_the_record_goes_to_the_next() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    driver.directory.put_organization(organization(first.organization, service(id="other")))
    revoked, _ = driver.take(revoke_unapproved(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)


@pytest.mark.parametrize(
    "change",
    [
        {"languages": ("zh",)},
        {"areas": ("RU-SPE",)},
        {"settlements": (Settlement.rural,)},
        {"eligibility": Eligibility(age_bands=(AgeBand.years_12_17,))},
        {"needs": (MISSING_PERSON,)},
    ],
    ids=str,
)
def test_organization_does_not_end_its_offers_by_a_change_that_it_can_take_back(
    change: dict[str, Any],
) -> None:
    """The further sensitive need rests on the approval of another service than the one that was asked."""
    wages, other = service(needs=(WAGES,)), service(id="shelter", needs=(TRAFFICKING, MISSING_PERSON))
    approval = replace(APPROVAL, service="shelter")
    known = replace(organization("ru.one", wages, other), approved_services=(approval,))
    allowed = (agreement(disclosure=DisclosureClass.sensitive),)
    driver = ReferralDriver(network(known, agreements=allowed))
    driver.submit(needs=(WAGES, TRAFFICKING))
    (offer,) = driver.known.open_offers
    assert offer.service == wages.id
    driver.directory.put_organization(replace(known, services=(wages, replace(other, **change))))
    assert driver.take(revoke_unapproved(driver.known, driver.context())) == ()
    driver.directory.put_organization(replace(known, approved_services=()))
    revoked, _ = driver.take(revoke_unapproved(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)


def test_offer_without_a_sensitive_need_stays_open() -> None:
    driver = make_driver("ru.one", needs=(WAGES,))
    end_approval(driver, "ru.one")
    assert driver.take(revoke_unapproved(driver.known, driver.context())) == ()
    (accepted,) = driver.apply(answer(driver.known.open_offers[0]))
    assert isinstance(accepted, OfferAccepted)


def test_organization_is_asked_again_once_it_is_approved_again() -> None:
    driver = make_driver("ru.one")
    end_approval(driver, "ru.one")
    _, unplaced = driver.take(revoke_unapproved(driver.known, driver.context()))
    assert isinstance(unplaced, ReferralUnplaced)
    assert driver.take(ask_again(driver.known, driver.context())) == ()
    driver.directory.put_organization(shelter("ru.one"))
    (opened,) = driver.take(ask_again(driver.known, driver.context()))
    assert isinstance(opened, OfferOpened)


def test_acceptance_after_the_end_of_the_approval_is_refused_and_the_next_is_asked() -> None:
    """The acceptance is read before the timer has revoked the offer."""
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    end_approval(driver, first.organization)
    revoked, opened, refused = driver.apply(answer(first))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(opened, OfferOpened)
    assert isinstance(refused, AnswerRefused)
    assert refused.problem["type"].endswith("offer-closed")
    assert driver.known.acceptor is None


def test_late_read_acceptance_after_the_end_of_the_approval_is_refused() -> None:
    driver = make_driver("ru.one")
    (first,) = driver.known.open_offers
    admitted_at = driver.now
    driver.now = first.deadline + DAY
    driver.take(act_when_due(driver.known, first.id, driver.now, driver.context()))
    end_approval(driver, first.organization)
    (refused,) = driver.apply(answer(first), admitted_at=admitted_at)
    assert isinstance(refused, AnswerRefused)
    assert driver.known.status is ReferralStatus.unplaced


def test_decline_after_the_end_of_the_approval_counts() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    end_approval(driver, first.organization)
    declined, _ = driver.apply(answer(first, Answer.decline))
    assert isinstance(declined, OfferDeclined)


def test_acceptance_of_an_offer_to_another_organization_revokes_nothing() -> None:
    driver = make_driver("ru.one", "ru.two")
    (first,) = driver.known.open_offers
    end_approval(driver, first.organization)
    (refused,) = driver.apply(replace(answer(first), organization="ru.other"))
    assert isinstance(refused, AnswerRefused)
    assert refused.problem["type"].endswith("not-found")
    assert driver.known.open_offers == (first,)
