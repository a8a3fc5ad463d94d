"""Steps before an offer's deadline: reminders, and one more organisation that is asked."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import Answer, OfferState, Urgency
from contracts.facts import AnswerSubmitted, OfferExpired, OfferOpened, OfferReminded, OfferRevoked
from services.routing.domain.decision import Trigger
from services.routing.domain.escalation_steps import Escalation, EscalationStep, StepAct
from services.routing.domain.lifecycle import act_when_due
from services.routing.domain.offer import Offer
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.transition import Transition
from tests.unit.services.routing.samples import NOW, REFERRAL, SENDER, ReferralDriver, network

ASK_ANOTHER = RoutingPolicy(escalation=Escalation(urgent=(EscalationStep(at=0.5, act=StepAct.ask_another),)))
INSTANT = dt.timedelta(microseconds=1)


def submitted(
    *receivers: str, urgency: Urgency = Urgency.urgent, policy: RoutingPolicy | None = None
) -> tuple[ReferralDriver, Offer]:
    driver = ReferralDriver(network(*receivers), policy=policy)
    driver.submit(urgency=urgency)
    (offer,) = driver.known.open_offers
    return driver, offer


def acceptance(offer: Offer) -> AnswerSubmitted:
    return AnswerSubmitted(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        answer=Answer.accept,
        reason=None,
    )


def turn(driver: ReferralDriver, offer: Offer, now: dt.datetime) -> tuple[object, ...]:
    """Let the timer act on the offer at a moment; return the published facts."""
    driver.now = now
    return driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))


def share_of(offer: Offer, share: float) -> dt.datetime:
    return offer.opened_at + share * (offer.deadline - offer.opened_at)


def test_organization_is_reminded_at_each_step_and_the_offer_stays_open() -> None:
    driver, offer = submitted("ru.one")
    reminder = OfferReminded(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization="ru.one",
        sender=SENDER,
        deadline=offer.deadline,
    )
    assert turn(driver, offer, share_of(offer, 0.5) - INSTANT) == ()
    assert turn(driver, offer, share_of(offer, 0.5)) == (reminder,)
    assert turn(driver, offer, share_of(offer, 0.5) + INSTANT) == ()
    assert turn(driver, offer, share_of(offer, 0.9)) == (reminder,)
    assert turn(driver, offer, offer.deadline - INSTANT) == ()
    assert [one.state for one in driver.known.offers] == [OfferState.open]
    expired, *_ = turn(driver, offer, offer.deadline)
    assert isinstance(expired, OfferExpired)


def test_missed_steps_are_one_reminder() -> None:
    driver, offer = submitted("ru.one")
    (fact,) = turn(driver, offer, share_of(offer, 0.95))
    assert isinstance(fact, OfferReminded)
    assert driver.known.open_offers[0].step_at is None


def test_deadline_passed_while_steps_were_due_expires_the_offer_only() -> None:
    driver, offer = submitted("ru.one")
    facts = turn(driver, offer, offer.deadline)
    assert not any(isinstance(fact, OfferReminded) for fact in facts)


def test_reminder_is_not_sent_after_the_deadline_of_an_offer_that_a_backlog_keeps_open() -> None:
    driver, offer = submitted("ru.one")
    driver.now = offer.deadline + dt.timedelta(minutes=2)
    read_until = share_of(offer, 0.95)
    assert driver.take(act_when_due(driver.known, offer.id, read_until, driver.context())) == ()
    assert driver.known.open_offers == (replace(offer, step_at=None),)


def test_suspended_organization_is_not_reminded() -> None:
    driver, offer = submitted("ru.one", "ru.two")
    driver.now = share_of(offer, 0.5)
    context = replace(
        driver.context(), in_good_standing=lambda organization: organization != offer.organization
    )
    assert driver.take(act_when_due(driver.known, offer.id, driver.now, context)) == ()


def test_closed_offer_is_not_reminded() -> None:
    driver, offer = submitted("ru.one", "ru.two")
    driver.apply(acceptance(offer))
    driver.now = share_of(offer, 0.5)
    assert act_when_due(driver.known, offer.id, driver.now, driver.context()) == Transition(
        referral=driver.known
    )


def test_extension_plans_the_steps_for_the_new_deadline() -> None:
    escalation, opened = Escalation(), NOW
    later = opened + dt.timedelta(days=2)
    assert escalation.next_at(Urgency.urgent, opened, later, opened) == opened + dt.timedelta(days=1)


def test_another_organization_is_asked_beside_the_silent_one() -> None:
    driver, silent = submitted("ru.one", "ru.two", "ru.three", policy=ASK_ANOTHER)
    (opened,) = turn(driver, silent, share_of(silent, 0.5))
    assert isinstance(opened, OfferOpened)
    assert opened.organization != silent.organization
    assert driver.decisions[-1].trigger is Trigger.no_answer_yet
    assert {one.organization for one in driver.known.open_offers} == {
        silent.organization,
        opened.organization,
    }
    second = driver.known.offer(opened.offer_id)
    assert second is not None
    _, revoked = driver.apply(acceptance(second))
    assert isinstance(revoked, OfferRevoked)
    assert revoked.organization == silent.organization


def test_step_without_another_candidate_changes_no_offer_and_records_no_decision() -> None:
    driver, offer = submitted("ru.one", policy=ASK_ANOTHER)
    decided = len(driver.decisions)
    assert turn(driver, offer, share_of(offer, 0.5)) == ()
    assert len(driver.decisions) == decided
    assert driver.known.open_offers == (replace(offer, step_at=None),)


def test_step_that_a_new_policy_dropped_is_not_taken() -> None:
    driver, offer = submitted("ru.one")
    driver.policy = RoutingPolicy(escalation=Escalation(urgent=(EscalationStep(at=0.8, act=StepAct.remind),)))
    assert turn(driver, offer, share_of(offer, 0.5)) == ()
    assert driver.known.open_offers[0].step_at == share_of(offer, 0.8)


@pytest.mark.parametrize("urgency", list(Urgency))
@given(moments=st.lists(st.floats(min_value=0.0, max_value=0.999), max_size=12))
def test_timer_always_makes_progress(urgency: Urgency, moments: list[float]) -> None:
    driver, offer = submitted("ru.one", urgency=urgency)
    reminders = 0
    for share in sorted(moments):
        reminders += len(turn(driver, offer, share_of(offer, share)))
        (now_open,) = driver.known.open_offers
        # A step that stays due would make the timer spin.
        assert now_open.step_at is None or now_open.step_at > driver.now
    assert reminders <= len(RoutingPolicy().escalation.by_urgency()[urgency])
