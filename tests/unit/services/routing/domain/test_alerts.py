from __future__ import annotations

import datetime as dt

import pytest

from contracts.codes import Answer, DeclineReason, InterventionReason, ProgressStatus, WithdrawalReason
from contracts.facts import (
    AlertClosed,
    AnswerSubmitted,
    Fact,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralOverdue,
    ReferralUnplaced,
    WithdrawalSubmitted,
)
from services.routing.domain.alerts import closed_alerts
from services.routing.domain.lifecycle import remind
from tests.unit.services.routing.samples import REFERRAL, SENDER, ReferralDriver, network, organization

ONE, TWO = "ru.one", "ru.two"


def closed_by(driver: ReferralDriver, fact: Fact) -> tuple[AlertClosed, ...]:
    """Apply a fact; return the alerts that it closes."""
    before = driver.referral
    driver.apply(fact)
    return closed_alerts(before, driver.known, fact)


def answer(driver: ReferralDriver, what: Answer) -> AnswerSubmitted:
    (offer,) = driver.known.open_offers
    return AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        answer=what,
        reason=DeclineReason.other if what is Answer.decline else None,
    )


@pytest.fixture
def unplaced() -> ReferralDriver:
    driver = ReferralDriver(network(organization(SENDER), ONE))
    driver.submit()
    driver.apply(answer(driver, Answer.decline))
    assert isinstance(driver.facts[-1], ReferralUnplaced)
    return driver


@pytest.fixture
def overdue() -> ReferralDriver:
    driver = ReferralDriver(network(organization(SENDER), ONE))
    driver.submit()
    driver.apply(answer(driver, Answer.accept))
    driver.now += dt.timedelta(days=40)
    driver.take(remind(driver.known, driver.context()))
    assert isinstance(driver.facts[-1], ReferralOverdue)
    return driver


def test_placement_closes_the_alert_of_an_unplaced_referral_and_names_the_coordinator(
    unplaced: ReferralDriver,
) -> None:
    placement = PlacementSubmitted(referral_id=REFERRAL, organization=ONE, coordinator="kg.aigul")
    assert closed_by(unplaced, placement) == (
        AlertClosed(referral_id=REFERRAL, message_type=ReferralUnplaced.type, by="kg.aigul"),
    )


def test_report_closes_the_alert_of_an_overdue_referral_and_names_the_acceptor(
    overdue: ReferralDriver,
) -> None:
    report = ProgressSubmitted(referral_id=REFERRAL, organization=ONE, status=ProgressStatus.in_progress)
    assert closed_by(overdue, report) == (
        AlertClosed(referral_id=REFERRAL, message_type=ReferralOverdue.type, by=ONE),
    )


def test_placement_elsewhere_closes_the_alert_of_an_overdue_referral(overdue: ReferralDriver) -> None:
    overdue.directory = network(organization(SENDER), ONE, TWO)
    placement = PlacementSubmitted(
        referral_id=REFERRAL,
        organization=TWO,
        coordinator="kg.aigul",
        reason=InterventionReason.no_answer,
    )
    assert closed_by(overdue, placement) == (
        AlertClosed(referral_id=REFERRAL, message_type=ReferralOverdue.type, by="kg.aigul"),
    )


def test_candidate_found_by_the_hub_closes_the_alert_without_a_name(unplaced: ReferralDriver) -> None:
    before = unplaced.known
    placement = PlacementSubmitted(referral_id=REFERRAL, organization=ONE, coordinator="kg.aigul")
    unplaced.apply(placement)
    (closed,) = closed_alerts(before, unplaced.known, None)
    assert closed.by is None


def test_end_of_the_referral_closes_no_alert_itself(unplaced: ReferralDriver) -> None:
    withdrawal = WithdrawalSubmitted(
        referral_id=REFERRAL, organization=SENDER, reason=WithdrawalReason.person_declined
    )
    assert closed_by(unplaced, withdrawal) == ()
    assert unplaced.known.is_closed


def test_alert_that_is_repeated_is_not_closed(overdue: ReferralDriver) -> None:
    before = overdue.known
    overdue.now += dt.timedelta(days=40)
    overdue.take(remind(overdue.known, overdue.context()))
    assert closed_alerts(before, overdue.known, None) == ()


def test_new_referral_closes_no_alert(unplaced: ReferralDriver) -> None:
    assert closed_alerts(None, unplaced.known, None) == ()
