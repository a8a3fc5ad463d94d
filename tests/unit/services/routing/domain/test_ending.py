"""Withdrawals by a coordinator for a party that is excluded from the hub or has no live client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.codes import CONSENT_REVOKED, Answer, Outcome, ReferralStatus, Vetting, WithdrawalReason
from contracts.facts import (
    AnswerSubmitted,
    CoordinatorWithdrawalRefused,
    CoordinatorWithdrawalSubmitted,
    OfferRevoked,
    OutcomeSubmitted,
    ReferralWithdrawn,
)
from services.routing.domain.observation import load_between
from tests.unit.services.routing.samples import (
    NOW,
    REFERRAL,
    SENDER,
    ReferralDriver,
    load,
    network,
    organization,
)

COORDINATOR = "kg.coordinator"
ACCEPTOR = "ru.one"
REASONS = [*(reason.value for reason in WithdrawalReason), CONSENT_REVOKED]


def offered() -> ReferralDriver:
    """Return a referral that is offered to ru.one."""
    driver = ReferralDriver(network(organization(SENDER), ACCEPTOR))
    driver.submit()
    return driver


def accepted() -> ReferralDriver:
    driver = offered()
    (offer,) = driver.known.open_offers
    driver.apply(
        AnswerSubmitted(referral_id=REFERRAL, offer_id=offer.id, organization=ACCEPTOR, answer=Answer.accept)
    )
    return driver


def exclude(driver: ReferralDriver, name: str, how: str) -> None:
    """Make the organisation unable to submit by itself."""
    if how == "no live client":
        driver.without_client.add(name)
    elif how == "inactive":
        driver.directory.put_organization(organization(name, active=False))
    else:
        driver.directory.put_organization(organization(name, vetting=Vetting(how)))


def withdrawal(organization: str = SENDER, reason: str = CONSENT_REVOKED) -> CoordinatorWithdrawalSubmitted:
    return CoordinatorWithdrawalSubmitted(
        referral_id=REFERRAL, organization=organization, coordinator=COORDINATOR, reason=reason
    )


def refused(driver: ReferralDriver, submission: CoordinatorWithdrawalSubmitted) -> str:
    before = driver.known
    (fact,) = driver.apply(submission)
    assert isinstance(fact, CoordinatorWithdrawalRefused)
    assert (fact.organization, fact.coordinator) == (submission.organization, COORDINATOR)
    assert driver.known == before
    return str(fact.problem["type"]).rpartition(":")[2]


@pytest.mark.parametrize("how", ["suspended", "left", "inactive", "no live client"])
@pytest.mark.parametrize("reason", REASONS)
def test_coordinator_withdraws_for_sender_that_cannot(how: str, reason: str) -> None:
    driver = offered()
    exclude(driver, SENDER, how)
    revoked, withdrawn = driver.apply(withdrawal(reason=reason))
    assert isinstance(revoked, OfferRevoked)
    assert revoked.reason == (CONSENT_REVOKED if reason == CONSENT_REVOKED else "withdrawn")
    assert withdrawn == ReferralWithdrawn(
        referral_id=REFERRAL, sender=SENDER, organization=None, reason=reason, coordinator=COORDINATOR
    )
    void = reason == WithdrawalReason.entered_in_error
    assert driver.known.status is (ReferralStatus.entered_in_error if void else ReferralStatus.withdrawn)


@pytest.mark.parametrize("how", ["suspended", "left", "inactive", "no live client"])
def test_coordinator_reports_revoked_consent_for_acceptor_that_cannot(how: str) -> None:
    driver = accepted()
    exclude(driver, ACCEPTOR, how)
    submission = withdrawal(ACCEPTOR)
    before = driver.known
    (withdrawn,) = driver.apply(submission)
    assert isinstance(withdrawn, ReferralWithdrawn)
    assert (withdrawn.organization, withdrawn.reason) == (ACCEPTOR, CONSENT_REVOKED)
    change = replace(load(accepted=-1), withdrawn={SENDER: {(before.facts.urgency, NOW): 1}})
    assert load_between(before, driver.known) == {ACCEPTOR: change}


@pytest.mark.parametrize("reason", REASONS)
def test_withdrawal_for_organization_that_can_submit_is_refused(reason: str) -> None:
    assert refused(offered(), withdrawal(reason=reason)) == "conflict"


def test_withdrawal_for_another_organization_is_refused() -> None:
    driver = accepted()
    for name in (ACCEPTOR, "ru.two"):
        exclude(driver, name, "suspended")
    for reason in WithdrawalReason:
        assert refused(driver, withdrawal(ACCEPTOR, reason)) == "not-a-party"
    assert refused(driver, withdrawal("ru.two")) == "not-a-party"


def test_withdrawal_of_a_referral_that_has_ended_is_refused() -> None:
    driver = accepted()
    driver.apply(OutcomeSubmitted(referral_id=REFERRAL, organization=ACCEPTOR, outcome=Outcome.resolved))
    exclude(driver, SENDER, "left")
    assert refused(driver, withdrawal(reason=WithdrawalReason.other)) == "not-in-this-state"
    (fact,) = driver.apply(withdrawal())
    assert isinstance(fact, ReferralWithdrawn)
    assert (fact.reason, fact.coordinator) == (CONSENT_REVOKED, COORDINATOR)
    assert driver.known.status is ReferralStatus.completed
