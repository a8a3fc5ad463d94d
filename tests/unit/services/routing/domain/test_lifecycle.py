"""The effect of each fact on a referral, and the addressees of the published facts."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from contracts.codes import (
    Answer,
    DeclineReason,
    Funding,
    OrganizationKind,
    Outcome,
    ProgressStatus,
    ReferralStatus,
    SealedContent,
    UnreadableReason,
    Urgency,
    Vetting,
    WithdrawalReason,
)
from contracts.errors import Defect, Unavailable
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    CaseRefused,
    CaseRequested,
    CaseUnreadable,
    DeliveryDelivered,
    Fact,
    NoteUnreadable,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferOpened,
    OfferRevoked,
    OutcomeSubmitted,
    PlacementAnswered,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralCompleted,
    ReferralFailed,
    ReferralOverdue,
    ReferralProgressed,
    ReferralSubmitted,
    ReferralUnplaced,
    ReferralWithdrawn,
    ReplacementSubmitted,
    RevocationSubmitted,
    SubmissionRefused,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.referral import ReferralFacts, Situation
from services.routing.domain.decision import Trigger
from services.routing.domain.lifecycle import act_when_due, apply, remind
from services.routing.domain.observation import Observation, load_between
from services.routing.domain.offer import Offer
from services.routing.domain.places import Demand
from services.routing.domain.policy import Deadlines, RoutingPolicy
from services.routing.domain.transition import Transition
from tests.support.events import message_of
from tests.unit.services.routing.samples import (
    DAY,
    HOUR,
    NOW,
    REFERRAL,
    SENDER,
    ReferralDriver,
    consent,
    facts,
    load,
    network,
    organization,
    service,
)

THREE = ("ru.one", "ru.two", "ru.three")
MINUTE = dt.timedelta(minutes=1)


def make_driver(*receivers: Any, **options: Any) -> ReferralDriver:
    return ReferralDriver(network(*(receivers or THREE)), **options)


def open_offer(driver: ReferralDriver, number: int = 0) -> Offer:
    return driver.known.open_offers[number]


def answer(offer: Offer, what: Answer = Answer.accept, **changes: Any) -> AnswerSubmitted:
    submission = {"organization": offer.organization, "reason": None, **changes}
    if what is Answer.decline and "reason" not in changes:
        submission["reason"] = DeclineReason.no_capacity
    return AnswerSubmitted(referral_id=REFERRAL, offer_id=offer.id, answer=what, **submission)


def accepted(*receivers: Any, **facts_changes: Any) -> ReferralDriver:
    """A referral that its first candidate accepted after an hour."""
    driver = make_driver(*receivers)
    driver.submit(**facts_changes)
    driver.now += HOUR
    driver.apply(answer(open_offer(driver)))
    return driver


def progress(organization: str, status: ProgressStatus = ProgressStatus.in_progress) -> ProgressSubmitted:
    return ProgressSubmitted(referral_id=REFERRAL, organization=organization, status=status)


def outcome(organization: str) -> OutcomeSubmitted:
    return OutcomeSubmitted(referral_id=REFERRAL, organization=organization, outcome=Outcome.resolved)


def withdrawal(
    organization: str = SENDER, reason: WithdrawalReason = WithdrawalReason.placed_elsewhere
) -> WithdrawalSubmitted:
    return WithdrawalSubmitted(referral_id=REFERRAL, organization=organization, reason=reason)


def revocation(organization: str = SENDER) -> RevocationSubmitted:
    return RevocationSubmitted(referral_id=REFERRAL, organization=organization)


def placement(organization: str) -> PlacementSubmitted:
    return PlacementSubmitted(referral_id=REFERRAL, organization=organization, coordinator="kg.coordinator")


def case_refused() -> CaseRefused:
    return CaseRefused(referral_id=REFERRAL, organization=SENDER, problem={})


def kinds(published: tuple[Fact, ...]) -> list[type[Fact]]:
    return [type(fact) for fact in published]


def refused(driver: ReferralDriver, submission: Fact, **options: Any) -> tuple[str, str]:
    """Apply a submission that must change nothing; return (addressee, problem slug) of the refusal."""
    before = driver.referral
    (fact,) = driver.apply(submission, **options)
    assert driver.referral is before
    expected: dict[type[Fact], type[Fact]] = {
        AnswerSubmitted: AnswerRefused,
        PlacementSubmitted: PlacementRefused,
    }
    assert type(fact) is expected.get(type(submission), SubmissionRefused)
    refusal = cast(SubmissionRefused, fact)
    assert refusal.referral_id == REFERRAL
    assert refusal.problem["status"] in (403, 404, 409, 422)
    who = fact.coordinator if isinstance(fact, PlacementRefused) else refusal.organization
    return who, refusal.problem["type"].rpartition(":")[2]


# --- offers -----------------------------------------------------------------------------------------


def test_referral_is_offered_to_the_best_candidate() -> None:
    driver = make_driver(organization("ru.far", service(areas=("RU",))), "ru.near")
    (opened,) = driver.submit()
    assert isinstance(opened, OfferOpened)
    assert opened.organization == "ru.near"
    assert opened.sender == SENDER
    assert opened.rank == 1
    assert opened.deadline == NOW + 3 * DAY
    assert driver.known.status is ReferralStatus.offered
    assert open_offer(driver).id == opened.offer_id
    (decision,) = driver.decisions
    assert decision.trigger is Trigger.submitted
    assert [candidate.organization for candidate in decision.ranked] == ["ru.near", "ru.far"]


def test_offer_holds_the_situation_without_consent_and_receiver() -> None:
    driver = make_driver("ru.one")
    (opened,) = driver.submit(to="ru.one")
    shown = cast(OfferOpened, opened).facts
    assert type(shown) is Situation
    assert shown == facts().situation()
    assert not isinstance(shown, ReferralFacts)


@pytest.mark.parametrize(
    ("urgency", "due"), [(Urgency.emergency, HOUR), (Urgency.urgent, DAY), (Urgency.routine, 3 * DAY)]
)
def test_urgency_sets_the_offer_deadline(urgency: Urgency, due: dt.timedelta) -> None:
    driver = make_driver("ru.one")
    driver.submit(urgency=urgency)
    assert open_offer(driver).deadline == NOW + due


def test_submission_time_is_the_admission_time() -> None:
    driver = make_driver()
    submission = ReferralSubmitted(referral_id=REFERRAL, sender=SENDER, facts=facts())
    driver.apply(submission, admitted_at=NOW - HOUR)
    assert driver.known.submitted_at == NOW - HOUR
    assert open_offer(driver).opened_at == NOW


def test_repeated_submission_opens_one_offer() -> None:
    driver = make_driver()
    driver.submit()
    before = driver.referral
    assert driver.submit() == ()
    assert driver.referral is before
    assert len(driver.decisions) == 1


def test_referral_without_candidates_is_unplaced_at_once() -> None:
    driver = make_driver(organization("ru.one", vetting=Vetting.suspended))
    (unplaced,) = driver.submit()
    assert isinstance(unplaced, ReferralUnplaced)
    assert unplaced.reason == "no_candidate"
    assert unplaced.sender == SENDER
    assert unplaced.decision_id == driver.decisions[0].id
    assert driver.known.status is ReferralStatus.unplaced


def test_named_receiver_is_the_only_candidate() -> None:
    driver = make_driver()
    driver.submit(to="ru.two")
    assert open_offer(driver).organization == "ru.two"
    assert {candidate.organization for candidate in driver.decisions[0].candidates} == {"ru.two"}
    published = driver.apply(answer(open_offer(driver), Answer.decline))
    assert kinds(published) == [OfferDeclined, ReferralUnplaced]


# --- answers ----------------------------------------------------------------------------------------


def test_acceptance_is_published_and_sets_the_progress_deadline() -> None:
    driver = make_driver()
    driver.submit(urgency=Urgency.urgent)
    offer = open_offer(driver)
    driver.now += HOUR
    (fact,) = driver.apply(answer(offer))
    assert fact == OfferAccepted(
        referral_id=REFERRAL, offer_id=offer.id, organization=offer.organization, sender=SENDER
    )
    assert driver.known.status is ReferralStatus.accepted
    assert driver.known.acceptor == offer.organization
    assert driver.known.due_at == driver.now + 3 * DAY
    assert driver.known.open_offers == ()


def test_decline_is_published_with_its_reason_and_the_next_is_asked() -> None:
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    first = open_offer(driver)
    declined, opened = driver.apply(answer(first, Answer.decline, note="Ask again in May."))
    assert isinstance(declined, OfferDeclined)
    # Only earlier builds sent a plain-text note; it is not published.
    assert (declined.reason, declined.note) == (DeclineReason.no_capacity, None)
    assert isinstance(opened, OfferOpened)
    assert opened.organization != first.organization
    assert driver.decisions[-1].trigger is Trigger.declined
    assert driver.known.status is ReferralStatus.offered


def test_decline_without_a_reason_is_refused() -> None:
    driver = make_driver()
    driver.submit()
    offer = open_offer(driver)
    assert refused(driver, answer(offer, Answer.decline, reason=None)) == (
        offer.organization,
        "invalid-submission",
    )


def test_referral_declined_by_all_is_unplaced() -> None:
    driver = make_driver()
    driver.submit()
    asked = []
    while driver.known.open_offers:
        asked.append(open_offer(driver).organization)
        last = driver.apply(answer(open_offer(driver), Answer.decline))
    assert sorted(asked) == sorted(THREE)
    assert kinds(last) == [OfferDeclined, ReferralUnplaced]
    assert cast(ReferralUnplaced, last[1]).reason == "candidates_exhausted"
    assert len(driver.decisions) == 4


def test_answer_of_another_organization_is_refused() -> None:
    driver = make_driver()
    driver.submit()
    offer = open_offer(driver)
    assert refused(driver, answer(offer, organization="kz.stranger")) == ("kz.stranger", "not-found")
    assert driver.known.open_offers == (offer,)


def test_answer_to_an_unknown_offer_is_refused() -> None:
    driver = make_driver()
    driver.submit()
    unknown = Offer(
        id="018f0000-0000-7000-8000-00000000ffff",
        referral_id=REFERRAL,
        organization="ru.one",
        service="legal",
        rank=1,
        opened_at=NOW,
        deadline=NOW,
    )
    assert refused(driver, answer(unknown)) == ("ru.one", "not-found")


def test_late_answer_is_refused_before_the_timer_fires() -> None:
    driver = make_driver()
    driver.submit()
    offer = open_offer(driver)
    late = offer.deadline + dt.timedelta(microseconds=1)
    driver.now = late
    assert refused(driver, answer(offer)) == (offer.organization, "offer-closed")
    assert refused(driver, answer(offer, Answer.decline)) == (offer.organization, "offer-closed")
    assert driver.known.open_offers == (offer,)


def test_timely_answer_read_late_is_accepted() -> None:
    driver = make_driver()
    driver.submit()
    offer = open_offer(driver)
    driver.now = offer.deadline + HOUR
    published = driver.apply(answer(offer), admitted_at=offer.deadline)
    assert kinds(published) == [OfferAccepted]


def test_late_answer_to_an_expired_offer_is_refused() -> None:
    driver, first, _ = expired_unheard()
    late = first.deadline + dt.timedelta(microseconds=1)
    assert refused(driver, answer(first), admitted_at=late) == (first.organization, "offer-closed")
    assert refused(driver, answer(first, Answer.decline), admitted_at=late)[1] == "offer-closed"


def test_timely_acceptance_of_expired_offer_revokes_the_next_offer() -> None:
    driver, first, second = expired_unheard()
    fact, revoked = driver.apply(answer(first), admitted_at=first.deadline)
    assert isinstance(fact, OfferAccepted)
    assert fact.organization == first.organization
    assert isinstance(revoked, OfferRevoked)
    assert revoked.offer_id == second.id
    assert (driver.known.status, driver.known.acceptor) == (ReferralStatus.accepted, first.organization)
    assert refused(driver, answer(second)) == (second.organization, "offer-closed")


def test_timely_decline_of_expired_offer_asks_no_further_candidate() -> None:
    driver, first, second = expired_unheard()
    (fact,) = driver.apply(answer(first, Answer.decline), admitted_at=first.deadline)
    assert isinstance(fact, OfferDeclined)
    assert driver.known.open_offers == (second,)
    assert len(driver.known.offers) == 2


def test_timely_acceptance_of_unplaced_referral_is_accepted() -> None:
    driver = make_driver("ru.one")
    driver.submit()
    offer = open_offer(driver)
    driver.now = offer.deadline
    driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))
    assert driver.known.status is ReferralStatus.unplaced
    assert kinds(driver.apply(answer(offer), admitted_at=NOW)) == [OfferAccepted]
    assert driver.known.acceptor == "ru.one"
    assert driver.known.due_at is not None


@pytest.mark.parametrize("choice", [Answer.accept, Answer.decline])
def test_timely_answer_after_another_acceptance_is_refused(choice: Answer) -> None:
    driver, first, second = expired_unheard()
    driver.apply(answer(second))
    assert refused(driver, answer(first, choice), admitted_at=first.deadline)[1] == "offer-closed"
    assert driver.known.acceptor == second.organization


@pytest.mark.parametrize("end", [withdrawal, revocation, case_refused])
def test_timely_answer_to_a_closed_referral_is_refused(end: Any) -> None:
    driver, first, _ = expired_unheard()
    driver.apply(end())
    assert refused(driver, answer(first), admitted_at=first.deadline)[1] == "offer-closed"


@pytest.mark.parametrize(
    ("choice", "seen"),
    [
        (Answer.accept, Observation(expired=-1, answered=1, answer_seconds=86400)),
        (
            Answer.decline,
            Observation(expired=-1, answered=1, answer_seconds=86400, full_since={"legal": NOW + DAY}),
        ),
    ],
)
def test_timely_answer_takes_the_observed_expiry_back(choice: Answer, seen: Observation) -> None:
    driver, first, _ = expired_unheard()
    assert _step(driver, answer(first, choice), first.deadline).observed[first.organization] == seen


def expired_unheard() -> tuple[ReferralDriver, Offer, Offer]:
    """A referral whose first offer expired while its answer was in transit; the second is open."""
    driver = make_driver("ru.one", "ru.two")
    driver.submit(urgency=Urgency.urgent)
    first = open_offer(driver)
    driver.now = first.deadline + dt.timedelta(seconds=1)
    driver.take(act_when_due(driver.known, first.id, driver.now, driver.context()))
    return driver, first, open_offer(driver)


def test_second_answer_to_an_offer_is_refused() -> None:
    driver = accepted()
    (first, *_) = driver.known.offers
    assert refused(driver, answer(first)) == (first.organization, "offer-closed")
    assert refused(driver, answer(first, Answer.decline)) == (first.organization, "offer-closed")


# --- deadlines --------------------------------------------------------------------------------------


def test_expired_offer_is_followed_by_the_next() -> None:
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    first = open_offer(driver)
    driver.now = first.deadline
    step = act_when_due(driver.known, first.id, driver.now, driver.context())
    expired, opened = driver.take(step)
    assert isinstance(expired, OfferExpired)
    assert (expired.organization, expired.sender) == (first.organization, SENDER)
    assert isinstance(opened, OfferOpened)
    assert opened.opened_at == driver.now
    assert driver.decisions[-1].trigger is Trigger.expired
    assert step.observed == {first.organization: Observation(expired=1)}


def test_early_repeated_or_unknown_expiry_changes_nothing() -> None:
    driver = make_driver()
    driver.submit()
    offer = open_offer(driver)
    assert offer.step_at is not None
    driver.now = offer.step_at - dt.timedelta(microseconds=1)
    assert act_when_due(driver.known, offer.id, driver.now, driver.context()) == Transition(
        referral=driver.known
    )
    driver.now = offer.deadline
    driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))
    assert act_when_due(driver.known, offer.id, driver.now, driver.context()) == Transition(
        referral=driver.known
    )
    assert act_when_due(driver.known, "unknown", driver.now, driver.context()) == Transition(
        referral=driver.known
    )


def test_overdue_repeats_while_the_acceptor_is_silent() -> None:
    driver = accepted()
    assert driver.known.acceptor is not None
    assert remind(driver.known, driver.context()) == Transition(referral=driver.known)
    for _ in range(3):
        due = driver.known.due_at
        assert due is not None
        driver.now = due
        (fact,) = driver.take(remind(driver.known, driver.context()))
        assert fact == ReferralOverdue(
            referral_id=REFERRAL, sender=SENDER, organization=driver.known.acceptor, due_at=due
        )
        assert driver.known.due_at == due + 14 * DAY
        assert driver.take(remind(driver.known, driver.context())) == ()


def test_report_postpones_overdue_and_outcome_ends_it() -> None:
    driver = accepted()
    acceptor = driver.known.acceptor
    assert acceptor is not None
    driver.now += DAY
    driver.apply(progress(acceptor))
    assert driver.known.due_at == driver.now + 14 * DAY
    driver.apply(outcome(acceptor))
    assert driver.known.due_at is None
    driver.now += 365 * DAY
    assert remind(driver.known, driver.context()) == Transition(referral=driver.known)


def test_referral_on_hold_is_overdue_after_three_times_the_progress_deadline_and_again() -> None:
    driver = accepted()
    acceptor = driver.known.acceptor
    assert acceptor is not None
    driver.apply(progress(acceptor, ProgressStatus.on_hold))
    held_since = driver.now
    driver.now = held_since + 41 * DAY
    assert driver.take(remind(driver.known, driver.context())) == ()
    for due in (held_since + 42 * DAY, held_since + 84 * DAY):
        driver.now = due
        assert kinds(driver.take(remind(driver.known, driver.context()))) == [ReferralOverdue]
    driver.apply(progress(acceptor))
    assert driver.known.due_at == driver.now + 14 * DAY


def test_policy_sets_the_deadline_of_a_referral_on_hold() -> None:
    driver = make_driver(policy=RoutingPolicy(routine=Deadlines(answer=60, progress=60, on_hold=90)))
    driver.submit()
    driver.apply(answer(open_offer(driver)))
    acceptor = driver.known.acceptor
    assert acceptor is not None
    driver.apply(progress(acceptor, ProgressStatus.on_hold))
    assert driver.known.due_at == driver.now + dt.timedelta(seconds=90)


# --- emergencies ------------------------------------------------------------------------------------


FIVE = (*THREE, "ru.four", "ru.five")


def test_emergency_without_an_always_open_service_is_unplaced_at_once() -> None:
    driver = make_driver(organization("ru.day", service(always_open=False)))
    (fact,) = driver.submit(urgency=Urgency.emergency)
    assert isinstance(fact, ReferralUnplaced)
    assert (fact.urgency, fact.reason) == (Urgency.emergency, "no_candidate")
    assert [failure.rule for c in driver.decisions[0].candidates for failure in c.failures] == ["open_now"]


def test_emergency_opens_three_offers_and_first_acceptance_wins() -> None:
    driver = make_driver(*FIVE)
    assert kinds(driver.submit(urgency=Urgency.emergency)) == [OfferOpened] * 3
    first, second, third = driver.known.open_offers
    assert len({first.organization, second.organization, third.organization}) == 3
    assert [offer.rank for offer in (first, second, third)] == [1, 2, 3]
    fact, *revoked = driver.apply(answer(second))
    assert isinstance(fact, OfferAccepted)
    assert [cast(OfferRevoked, fact).organization for fact in revoked] == [
        first.organization,
        third.organization,
    ]
    assert {cast(OfferRevoked, fact).reason for fact in revoked} == {"accepted_elsewhere"}
    assert driver.known.acceptor == second.organization
    assert refused(driver, answer(first)) == (first.organization, "offer-closed")
    assert driver.known.acceptor == second.organization


def test_declined_emergency_offer_is_replaced() -> None:
    driver = make_driver(*FIVE)
    driver.submit(urgency=Urgency.emergency)
    published = driver.apply(answer(open_offer(driver), Answer.decline))
    assert kinds(published) == [OfferDeclined, OfferOpened]
    assert len(driver.known.open_offers) == 3
    driver.apply(answer(open_offer(driver), Answer.decline))
    assert kinds(driver.apply(answer(open_offer(driver), Answer.decline))) == [OfferDeclined]
    assert len(driver.known.open_offers) == 2
    assert driver.known.status is ReferralStatus.offered


def test_emergency_with_one_candidate_opens_one_offer() -> None:
    driver = make_driver("ru.one")
    driver.submit(urgency=Urgency.emergency)
    assert len(driver.known.open_offers) == 1


# --- the acceptor reports ---------------------------------------------------------------------------


def test_acceptor_reports_progress_hold_and_completion() -> None:
    driver = accepted()
    acceptor = driver.known.acceptor
    assert acceptor is not None
    for status in (ProgressStatus.in_progress, ProgressStatus.on_hold, ProgressStatus.in_progress):
        (fact,) = driver.apply(progress(acceptor, status))
        assert fact == ReferralProgressed(
            referral_id=REFERRAL, sender=SENDER, organization=acceptor, status=status
        )
        assert driver.known.status.value == status.value
    (done,) = driver.apply(outcome(acceptor))
    assert done == ReferralCompleted(
        referral_id=REFERRAL, sender=SENDER, organization=acceptor, outcome=Outcome.resolved
    )
    assert driver.known.status is ReferralStatus.completed
    assert driver.known.outcome is Outcome.resolved
    assert driver.known.is_closed


@pytest.mark.parametrize("submission", [progress, outcome])
@pytest.mark.parametrize("who", [SENDER, "ru.other", "kz.stranger"])
def test_report_of_another_organization_is_refused(submission: Any, who: str) -> None:
    driver = accepted("ru.one")
    assert refused(driver, submission(who)) == (who, "not-a-party")


@pytest.mark.parametrize("submission", [progress, outcome])
def test_report_before_acceptance_or_after_the_end_is_refused(submission: Any) -> None:
    driver = make_driver("ru.one")
    driver.submit()
    assert refused(driver, submission("ru.one")) == ("ru.one", "not-a-party")
    driver.apply(answer(open_offer(driver)))
    driver.apply(outcome("ru.one"))
    assert refused(driver, submission("ru.one")) == ("ru.one", "not-in-this-state")


# --- withdrawal and failure -------------------------------------------------------------------------


def test_withdrawal_revokes_open_offers() -> None:
    driver = make_driver(*FIVE)
    driver.submit(urgency=Urgency.emergency)
    *revoked, fact = driver.apply(withdrawal())
    assert [cast(OfferRevoked, fact).reason for fact in revoked] == ["withdrawn"] * 3
    assert fact == ReferralWithdrawn(
        referral_id=REFERRAL, sender=SENDER, organization=None, reason="placed_elsewhere"
    )
    assert driver.known.status is ReferralStatus.withdrawn
    assert driver.known.open_offers == ()


def test_withdrawal_fact_names_the_acceptor() -> None:
    driver = accepted("ru.one")
    (fact,) = driver.apply(withdrawal())
    assert cast(ReferralWithdrawn, fact).organization == "ru.one"
    assert driver.known.due_at is None


def test_withdrawal_by_another_organization_is_refused() -> None:
    driver = accepted("ru.one")
    assert refused(driver, withdrawal("ru.one")) == ("ru.one", "not-a-party")


def test_referral_entered_in_error_has_its_own_status() -> None:
    driver = accepted("ru.one")
    driver.apply(withdrawal(reason=WithdrawalReason.entered_in_error))
    assert driver.known.status is ReferralStatus.entered_in_error
    assert driver.known.is_closed


@pytest.mark.parametrize("who", [SENDER, "ru.one"])
def test_consent_revocation_is_accepted_from_sender_and_acceptor(who: str) -> None:
    driver = accepted("ru.one")
    (fact,) = driver.apply(revocation(who))
    assert fact == ReferralWithdrawn(
        referral_id=REFERRAL, sender=SENDER, organization="ru.one", reason="consent_revoked"
    )
    assert driver.known.status is ReferralStatus.withdrawn


def test_consent_revocation_revokes_open_offers() -> None:
    driver = make_driver("ru.one")
    driver.submit()
    assert refused(driver, revocation("ru.one")) == ("ru.one", "not-a-party")
    revoked, fact = driver.apply(revocation())
    assert cast(OfferRevoked, revoked).reason == "consent_revoked"
    assert isinstance(fact, ReferralWithdrawn)


def test_refused_case_fails_the_referral() -> None:
    driver = make_driver("ru.one")
    driver.submit()
    revoked, fact = driver.apply(case_refused())
    assert cast(OfferRevoked, revoked).reason == "failed"
    assert fact == ReferralFailed(
        referral_id=REFERRAL, sender=SENDER, organization=None, reason="case_unreadable"
    )
    assert driver.known.status is ReferralStatus.failed
    # a second refusal by the vault: nothing is left to fail or to publish
    assert driver.apply(case_refused()) == ()


def test_unplaced_referral_can_be_withdrawn() -> None:
    driver = make_driver(organization("ru.one", active=False))
    driver.submit()
    assert kinds(driver.apply(withdrawal())) == [ReferralWithdrawn]


@pytest.mark.parametrize("end", [withdrawal, revocation, case_refused])
def test_closed_referral_does_not_change(end: Any) -> None:
    driver = accepted("ru.one")
    driver.apply(end())
    closed = driver.referral
    (offer,) = driver.known.offers
    assert refused(driver, answer(offer))[1] == "offer-closed"
    for submission in (
        progress("ru.one"),
        outcome("ru.one"),
        withdrawal(),
        placement("ru.one"),
    ):
        assert refused(driver, submission)[1] == "not-in-this-state"
    assert driver.referral is closed


@pytest.mark.parametrize("who", [SENDER, "ru.one"])
@pytest.mark.parametrize("end", [partial(outcome, "ru.one"), withdrawal, case_refused])
def test_consent_is_revoked_after_the_end_which_stays_as_it_was(end: Any, who: str) -> None:
    driver = accepted("ru.one")
    driver.apply(end())
    ended = driver.known
    assert refused(driver, revocation("ru.two")) == ("ru.two", "not-a-party")
    assert driver.apply(revocation(who)) == (
        ReferralWithdrawn(
            referral_id=REFERRAL, sender=SENDER, organization="ru.one", reason="consent_revoked"
        ),
    )
    assert driver.referral == replace(ended, consent_revoked=True)


@pytest.mark.parametrize("end", [partial(outcome, "ru.one"), withdrawal, revocation])
def test_consent_is_revoked_once(end: Any) -> None:
    driver = accepted("ru.one")
    driver.apply(end())
    if not driver.known.consent_revoked:
        driver.apply(revocation(SENDER))
    before = driver.referral
    for who in (SENDER, "ru.one"):
        assert refused(driver, revocation(who)) == (who, "not-in-this-state")
    assert driver.referral is before


# --- coordinators -----------------------------------------------------------------------------------


def unplaced(*receivers: Any, **changes: Any) -> ReferralDriver:
    driver = make_driver(*receivers)
    driver.submit(**changes)
    while driver.known.open_offers:
        driver.apply(answer(open_offer(driver), Answer.decline))
    assert driver.known.status is ReferralStatus.unplaced
    return driver


def test_placement_overrides_directory_rules() -> None:
    far = organization("kz.far", service(needs=("work",), areas=("KZ",), languages=("kk",)), country="KZ")
    driver = unplaced("ru.one", far)
    (opened,) = driver.apply(placement("kz.far"))
    assert cast(OfferOpened, opened).organization == "kz.far"
    assert driver.known.status is ReferralStatus.offered
    decision = driver.decisions[-1]
    assert decision.trigger is Trigger.placed_by_coordinator
    assert decision.overridden == ("area_served", "language_shared", "need_met")
    driver.apply(answer(open_offer(driver)))
    assert driver.known.acceptor == "kz.far"


def test_placement_with_declining_organization_is_allowed() -> None:
    driver = unplaced("ru.one")
    assert kinds(driver.apply(placement("ru.one"))) == [OfferOpened]
    assert driver.decisions[-1].overridden == ("not_asked_before",)


def test_declined_placement_makes_the_referral_unplaced() -> None:
    driver = unplaced("ru.one")
    driver.apply(placement("ru.one"))
    offer = open_offer(driver)
    published = driver.apply(answer(offer, Answer.decline))
    assert kinds(published) == [OfferDeclined, PlacementAnswered, ReferralUnplaced]
    assert published[1] == placement_answered(offer, "declined", "no_capacity")


def placement_answered(offer: Offer, result: str, reason: str | None = None) -> PlacementAnswered:
    return PlacementAnswered(
        referral_id=REFERRAL,
        offer_id=offer.id,
        organization=offer.organization,
        coordinator="kg.coordinator",
        result=result,
        reason=reason,
    )


def test_accepted_placement_is_reported_to_coordinators() -> None:
    driver = unplaced("ru.one")
    driver.apply(placement("ru.one"))
    offer = open_offer(driver)
    assert driver.apply(answer(offer))[1:] == (placement_answered(offer, "accepted"),)


def test_expired_placement_is_reported_again_after_a_timely_answer() -> None:
    driver = unplaced("ru.one")
    driver.apply(placement("ru.one"))
    offer = open_offer(driver)
    driver.now = offer.deadline
    published = driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))
    assert placement_answered(offer, "expired", "no_answer") in published
    late = driver.apply(answer(offer), admitted_at=offer.deadline - MINUTE)
    assert placement_answered(offer, "accepted") in late


def test_revoked_placement_is_reported_to_coordinators() -> None:
    driver = unplaced("ru.one")
    driver.apply(placement("ru.one"))
    offer = open_offer(driver)
    assert placement_answered(offer, "revoked", "withdrawn") in driver.apply(withdrawal())


def test_offers_opened_by_routing_report_no_placement() -> None:
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    driver.apply(answer(open_offer(driver), Answer.decline))
    driver.apply(answer(open_offer(driver)))
    assert not [fact for fact in driver.facts if isinstance(fact, PlacementAnswered)]


def test_placement_uses_the_best_fitting_service() -> None:
    two_rules_broken = service(id="beds", needs=("basic_needs.shelter",), areas=("RU-SPE",))
    one_rule_broken = service(id="legal", areas=("RU-SPE",), languages=("ru",), interpretation=("ky",))
    driver = unplaced(organization("ru.house", two_rules_broken, one_rule_broken))
    driver.apply(placement("ru.house"))
    assert open_offer(driver).service == "legal"


@pytest.mark.parametrize(
    ("receiver", "changes", "rule"),
    [
        (organization("ru.one", active=False), {}, "organization_active"),
        (organization("ru.one", vetting=Vetting.applied), {}, "organization_vetted"),
        (organization("ru.one", sealing_key=None), {}, "can_receive"),
        (organization("ru.one", kind=OrganizationKind.state_body), {}, "kind_consented"),
        (organization("ru.one", service(cost=Funding.at_cost)), {}, "cost_accepted"),
        (organization("ru.one"), {"consent": consent(excluded_organizations=("ru.one",))}, "not_excluded"),
        (organization("ru.one"), {"consent": consent(storage_countries=("KG",))}, "storage_allowed"),
        (organization("ru.one"), {"to": "ru.two"}, "case_sealed_for"),
        (organization("ru.one"), {"needs": ("protection.trafficking",)}, "agreement_in_force"),
    ],
)
def test_placement_against_protected_rules_is_refused(
    receiver: Any, changes: dict[str, Any], rule: str
) -> None:
    driver = unplaced(receiver, **changes)
    before = driver.referral
    (fact,) = driver.apply(placement("ru.one"))
    assert isinstance(fact, PlacementRefused)
    assert (fact.organization, fact.coordinator) == ("ru.one", "kg.coordinator")
    assert fact.problem["type"] == "urn:kopuro:problem:conflict"
    assert rule in fact.problem["detail"]
    assert driver.referral is before


def test_placement_with_the_sender_is_refused() -> None:
    driver = unplaced(organization("ru.one", active=False))
    driver.directory.put_organization(organization(SENDER))
    assert refused(driver, placement(SENDER)) == ("kg.coordinator", "conflict")


def test_placement_without_a_service_is_refused() -> None:
    driver = unplaced(organization("ru.one", active=False))
    assert refused(driver, placement("ru.nobody")) == ("kg.coordinator", "conflict")


def test_placement_of_an_offered_referral_without_a_reason_is_refused() -> None:
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    (offer,) = driver.known.open_offers
    (other,) = {"ru.one", "ru.two"} - {offer.organization}
    assert refused(driver, placement(other)) == ("kg.coordinator", "invalid-submission")


# --- observations -----------------------------------------------------------------------------------


def test_answers_and_accepted_referrals_are_observed() -> None:
    driver = make_driver("ru.one")
    driver.submit()
    offer = open_offer(driver)
    admitted = NOW + 10 * MINUTE
    driver.now = NOW + HOUR
    event_step = _step(driver, answer(offer), admitted)
    assert event_step.observed == {"ru.one": Observation(answered=1, answer_seconds=600)}
    key = (SENDER, Urgency.routine)
    answered = load(accepted=1, demand={key: Demand(offers=-1)})
    assert _load_change(driver, event_step) == {"ru.one": answered}
    driver.take(event_step)
    completed = _step(driver, outcome("ru.one"), driver.now)
    assert _load_change(driver, completed) == {"ru.one": load(accepted=-1)}
    withdrawn = replace(load(accepted=-1), withdrawn={SENDER: {(Urgency.routine, NOW): 1}})
    assert _load_change(driver, _step(driver, withdrawal(), driver.now)) == {"ru.one": withdrawn}
    reported = _step(driver, progress("ru.one"), driver.now)
    assert (reported.observed, _load_change(driver, reported)) == ({}, {})


def _load_change(driver: ReferralDriver, step: Transition) -> dict[str, Observation]:
    assert step.referral is not None
    return load_between(driver.known, step.referral)


def test_decline_is_observed_and_refused_answer_is_not() -> None:
    driver = make_driver("ru.one")
    driver.submit()
    offer = open_offer(driver)
    driver.now += HOUR
    declined = _step(driver, answer(offer, Answer.decline), driver.now)
    seen = Observation(answered=1, answer_seconds=3600, full_since={"legal": NOW + HOUR})
    assert declined.observed == {"ru.one": seen}
    assert _step(driver, answer(offer, organization="ru.two"), driver.now).observed == {}


def _step(driver: ReferralDriver, submission: Fact, admitted_at: dt.datetime) -> Transition:
    event = message_of(submission, REFERRAL, time=admitted_at, id_=driver.new_id())
    return apply(driver.referral, event, driver.context())


# --- unexpected facts -------------------------------------------------------------------------------


def test_fact_about_an_unknown_referral_is_retried() -> None:
    driver = make_driver()
    with pytest.raises(Unavailable, match="not known yet"):
        driver.apply(withdrawal())


def test_unconsumed_fact_raises_defect() -> None:
    driver = make_driver()
    driver.submit()
    with pytest.raises(Defect):
        driver.apply(
            DeliveryDelivered(
                referral_id=REFERRAL,
                organization="ru.one",
                message_id=driver.new_id(),
                message_type="kopuro.offer.opened.v1",
            )
        )


def test_policy_sets_deadlines_and_simultaneous_offers() -> None:
    policy = RoutingPolicy(emergency=Deadlines(answer=60, progress=120), emergency_offers=2)
    driver = make_driver(*FIVE, policy=policy)
    driver.submit(urgency=Urgency.emergency)
    assert len(driver.known.open_offers) == 2
    assert open_offer(driver).deadline == NOW + MINUTE
    driver.apply(answer(open_offer(driver)))
    assert driver.known.due_at == NOW + 2 * MINUTE


def unreadable(
    organization: str, content: SealedContent = SealedContent.case, author: str | None = None
) -> UnreadableSubmitted:
    return UnreadableSubmitted(
        referral_id=REFERRAL,
        organization=organization,
        content=content,
        reason=UnreadableReason.not_understood,
        author=author,
    )


def replacement(organization: str, to: str | None) -> ReplacementSubmitted:
    return ReplacementSubmitted(referral_id=REFERRAL, organization=organization, to=to)


def test_unreadable_case_is_reported_to_sender_and_becomes_overdue() -> None:
    driver = accepted(urgency=Urgency.urgent)
    acceptor = driver.known.acceptor
    assert acceptor is not None
    (fact,) = driver.apply(unreadable(acceptor))
    assert fact == CaseUnreadable(
        referral_id=REFERRAL,
        sender=SENDER,
        organization=acceptor,
        reason=UnreadableReason.not_understood,
        replace_by=driver.known.due_at,  # type: ignore[arg-type]
    )
    assert driver.known.status is ReferralStatus.accepted
    assert driver.known.due_at is not None
    assert driver.known.due_at == driver.now + DAY
    driver.now = driver.known.due_at
    assert kinds(driver.take(remind(driver.known, driver.context()))) == [ReferralOverdue]


def test_replaced_case_restarts_the_progress_deadline() -> None:
    driver = accepted(urgency=Urgency.urgent)
    acceptor = driver.known.acceptor
    assert acceptor is not None
    driver.apply(unreadable(acceptor))
    driver.now += HOUR
    assert driver.apply(replacement(SENDER, acceptor)) == ()
    assert driver.known.due_at == driver.now + 3 * DAY


def test_case_replaced_in_custody_restarts_the_progress_deadline_of_the_acceptor() -> None:
    driver = accepted(urgency=Urgency.urgent)
    driver.now += HOUR
    assert driver.apply(replacement(SENDER, None)) == ()
    assert driver.known.due_at == driver.now + 3 * DAY


def test_case_that_the_vault_requests_leaves_the_referral_and_its_deadline() -> None:
    driver = accepted()
    before, acceptor = driver.known, driver.known.acceptor
    assert acceptor is not None
    assert driver.apply(CaseRequested(referral_id=REFERRAL, organization=acceptor, sender=SENDER)) == ()
    assert driver.known == before


@pytest.mark.parametrize("by", ["acceptor", "stranger"])
def test_replaced_case_of_another_organization_changes_nothing(by: str) -> None:
    driver = accepted()
    acceptor = driver.known.acceptor
    assert acceptor is not None
    before = driver.known
    # The vault holds the case and refuses it.
    assert driver.apply(replacement(acceptor if by == "acceptor" else "ru.stranger", acceptor)) == ()
    assert driver.apply(replacement(SENDER, "ru.stranger")) == ()
    assert driver.known == before


def test_unreadable_case_report_is_accepted_from_the_acceptor_only() -> None:
    driver = make_driver()
    driver.submit()
    assert refused(driver, unreadable(open_offer(driver).organization))[1] == "not-a-party"
    driver = accepted()
    acceptor = driver.known.acceptor
    assert acceptor is not None
    assert refused(driver, unreadable(SENDER)) == (SENDER, "not-a-party")
    driver.apply(outcome(acceptor))
    assert refused(driver, unreadable(acceptor)) == (acceptor, "not-in-this-state")


def test_unreadable_note_is_reported_to_its_author_after_the_end_too() -> None:
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    first = open_offer(driver).organization
    driver.apply(answer(open_offer(driver), Answer.decline))
    driver.apply(withdrawal())
    (fact,) = driver.apply(unreadable(SENDER, SealedContent.note, first))
    assert fact == NoteUnreadable(
        referral_id=REFERRAL,
        organization=first,
        reader=SENDER,
        reason=UnreadableReason.not_understood,
    )


@pytest.mark.parametrize(
    ("reader", "author"), [(SENDER, "ru.stranger"), ("ru.stranger", SENDER), (SENDER, SENDER)]
)
def test_unreadable_note_between_other_organizations_is_refused(reader: str, author: str) -> None:
    driver = accepted()
    assert refused(driver, unreadable(reader, SealedContent.note, author)) == (reader, "not-a-party")


# --- what refusals tell --------------------------------------------------------------------------------


def _life(end: str) -> ReferralDriver:
    """A referral that `ru.one` has declined, in one of its later states."""
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    offers = {offer.organization: offer for offer in driver.known.open_offers}
    if "ru.one" not in offers:
        driver.apply(answer(open_offer(driver), Answer.decline))
    driver.apply(answer(open_offer(driver), Answer.decline))
    if end != "open":
        driver = make_driver("ru.one", "ru.two")
        driver.submit()
        first = open_offer(driver)
        driver.apply(answer(first, Answer.decline))
        driver.apply(answer(open_offer(driver)))
        if end == "completed":
            driver.apply(outcome(str(driver.known.acceptor)))
        if end == "withdrawn":
            driver.apply(withdrawal())
        if end == "revoked":
            driver.apply(revocation())
    return driver


@pytest.mark.parametrize("submission", [progress, outcome, revocation, withdrawal])
def test_refusal_reveals_nothing_of_the_referral_to_a_past_candidate(submission: Any) -> None:
    problems = []
    for end in ("open", "accepted", "completed", "withdrawn", "revoked"):
        driver = _life(end)
        past = next(o.organization for o in driver.known.offers if o.state.value == "declined")
        (fact,) = driver.apply(submission(past))
        problems.append(cast(SubmissionRefused, fact).problem)
    assert all(problem == problems[0] for problem in problems)


def test_refusal_of_a_timely_answer_does_not_reveal_the_state_of_the_referral() -> None:
    problems = []
    for happens in (answer(expired_unheard()[2]), withdrawal(), revocation()):
        driver, first, second = expired_unheard()
        driver.apply(answer(second) if isinstance(happens, AnswerSubmitted) else happens)
        (fact,) = driver.apply(answer(first), admitted_at=first.deadline)
        problems.append(cast(AnswerRefused, fact).problem)
    assert all(problem == problems[0] for problem in problems)


def test_candidate_cannot_ask_who_else_was_asked() -> None:
    driver = make_driver("ru.one", "ru.two")
    driver.submit()
    first = open_offer(driver).organization
    driver.apply(answer(open_offer(driver), Answer.decline))
    second = open_offer(driver).organization
    problems = []
    for author in (second, "ru.stranger"):
        (fact,) = driver.apply(unreadable(first, SealedContent.note, author))
        problems.append(cast(SubmissionRefused, fact).problem)
    assert problems[0] == problems[1]
