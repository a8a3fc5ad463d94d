"""The effect of an organisation's new kind, parent or country on offers that the consent no longer covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import Answer, OrganizationKind
from contracts.facts import AnswerRefused, AnswerSubmitted, OfferAccepted, OfferOpened, OfferRevoked
from services.routing.domain.decision import Trigger
from services.routing.domain.offer import ORGANIZATION_CHANGED, Offer
from services.routing.domain.standing import revoke_without_consent
from tests.unit.services.routing.samples import REFERRAL, ReferralDriver, consent, network, organization

CONSULATE = "kg.consulate"
CHOICES = {"excluded_organizations": ("kg.excluded",), "storage_countries": ("KG", "RU")}
CHANGES: list[Mapping[str, Any]] = [
    {"kind": OrganizationKind.consular_representative},
    {"parent": CONSULATE},
    {"parent": "kg.excluded"},
    {"country": "KZ"},
]


def make_driver() -> ReferralDriver:
    consulate = organization(CONSULATE, kind=OrganizationKind.consular_representative)
    known = (organization("ru.one"), organization("ru.two"), organization("kg.excluded"), consulate)
    driver = ReferralDriver(network(*known))
    driver.submit(consent=consent(**CHOICES))
    return driver


def change(driver: ReferralDriver, name: str, changes: Mapping[str, Any]) -> None:
    driver.directory.put_organization(replace(organization(name), **changes))


def acceptance(offer: Offer) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=REFERRAL, offer_id=offer.id, organization=offer.organization, answer=Answer.accept
    )


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_open_offer_goes_to_the_next_when_the_consent_does_not_cover_its_holder(
    changes: Mapping[str, Any],
) -> None:
    driver = make_driver()
    (first,) = driver.known.open_offers
    assert driver.take(revoke_without_consent(driver.known, driver.context())) == ()
    change(driver, first.organization, changes)
    revoked, opened = driver.take(revoke_without_consent(driver.known, driver.context()))
    assert isinstance(revoked, OfferRevoked)
    assert (revoked.offer_id, revoked.reason) == (first.id, ORGANIZATION_CHANGED)
    assert isinstance(opened, OfferOpened)
    assert opened.organization != first.organization
    assert driver.decisions[-1].trigger is Trigger.organization_changed


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_acceptance_of_an_organization_that_the_consent_does_not_cover_is_refused(
    changes: Mapping[str, Any],
) -> None:
    """The acceptance would release the case: a consulate must not find a person through a new parent."""
    driver = make_driver()
    (first,) = driver.known.open_offers
    change(driver, first.organization, changes)
    revoked, opened, refused = driver.apply(acceptance(first))
    assert isinstance(revoked, OfferRevoked)
    assert isinstance(opened, OfferOpened)
    assert isinstance(refused, AnswerRefused)
    assert driver.known.acceptor is None


@pytest.mark.parametrize(
    "changes", [{"kind": OrganizationKind.union}, {"country": "KG"}, {"parent": "ru.two"}], ids=str
)
def test_change_that_the_consent_covers_ends_no_offer(changes: Mapping[str, Any]) -> None:
    driver = make_driver()
    (first,) = driver.known.open_offers
    change(driver, first.organization, changes)
    assert driver.take(revoke_without_consent(driver.known, driver.context())) == ()
    (accepted,) = driver.apply(acceptance(first))
    assert isinstance(accepted, OfferAccepted)


def test_branch_whose_parent_becomes_a_consulate_loses_its_offer() -> None:
    driver = ReferralDriver(network(organization("ru.top"), organization("ru.branch", parent="ru.top")))
    driver.submit(consent=consent(excluded_organizations=("ru.none",)))
    offers = driver.known.open_offers
    driver.directory.put_organization(organization("ru.top", kind=OrganizationKind.consular_representative))
    published = driver.take(revoke_without_consent(driver.known, driver.context()))
    revoked = [fact for fact in published if isinstance(fact, OfferRevoked)]
    assert [fact.offer_id for fact in revoked] == [one.id for one in offers]
    assert not any(isinstance(fact, OfferOpened) for fact in published)
