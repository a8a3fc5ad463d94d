"""Random lives of a referral: whatever happens in whatever order, these stay true."""

from __future__ import annotations

import datetime as dt

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.codes import (
    Answer,
    DeclineReason,
    OfferState,
    OrganizationKind,
    Outcome,
    ProgressStatus,
    ReferralStatus,
    Urgency,
    Vetting,
    WithdrawalReason,
)
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    CaseRefused,
    Fact,
    OfferOpened,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    RevocationSubmitted,
    SubmissionRefused,
    WithdrawalSubmitted,
)
from services.routing.domain.lifecycle import expire, remind
from services.routing.domain.referral import Referral
from tests.unit.services.routing.samples import REFERRAL, SENDER, Life, network, organization, service

RECEIVERS = (
    organization("ru.one"),
    organization("ru.two"),
    organization("ru.three"),
    organization("ru.slow", service(always_open=False)),
    organization("ru.far", service(areas=("RU-SPE",))),
    organization("ru.consulate", kind=OrganizationKind.consular_representative),
    organization("ru.applicant", vetting=Vetting.applied),
)
NAMES = [*(receiver.id for receiver in RECEIVERS), SENDER, "kz.stranger"]
who = st.sampled_from(NAMES)
HELD = {
    ReferralStatus.accepted,
    ReferralStatus.in_progress,
    ReferralStatus.on_hold,
    ReferralStatus.completed,
}


class Walk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.life = Life(network(*RECEIVERS))
        self.closed: Referral | None = None
        self.accepted_offer: str | None = None

    @initialize(
        urgency=st.sampled_from(Urgency),
        to=st.sampled_from([None, None, "ru.one", "ru.consulate"]),
    )
    def submit(self, urgency: Urgency, to: str | None) -> None:
        self.life.submit(urgency=urgency, to=to)

    def say(self, fact: Fact, admitted_at: dt.datetime | None = None) -> None:
        before = self.life.known
        told = self.life.say(fact, admitted_at=admitted_at)
        if any(isinstance(one, AnswerRefused | SubmissionRefused | PlacementRefused) for one in told):
            assert len(told) == 1
            assert self.life.referral is before

    @rule(
        data=st.data(),
        accepts=st.booleans(),
        stranger=st.sampled_from([None] * 5 + NAMES),
        in_time=st.booleans(),
    )
    def answer(self, data: st.DataObject, accepts: bool, stranger: str | None, in_time: bool) -> None:
        """in_time: the answer reached the door as soon as it could, however late it is read."""
        if not self.life.known.offers:
            return
        offer = data.draw(st.sampled_from(self.life.known.offers))
        admitted_at = offer.opened_at if in_time else None
        self.say(
            AnswerSubmitted(
                referral_id=REFERRAL,
                offer_id=offer.id,
                organization=stranger or offer.organization,
                answer=Answer.accept if accepts else Answer.decline,
                reason=None if accepts else DeclineReason.other,
            ),
            admitted_at,
        )

    @rule(hours=st.integers(min_value=0, max_value=100))
    def time_passes(self, hours: int) -> None:
        life = self.life
        life.now += dt.timedelta(hours=hours)
        for offer in life.known.offers:
            life.take(expire(life.known, offer.id, life.context()))
        life.take(remind(life.known, life.context()))

    @rule(organization=who, status=st.sampled_from(ProgressStatus))
    def progress(self, organization: str, status: ProgressStatus) -> None:
        self.say(ProgressSubmitted(referral_id=REFERRAL, organization=organization, status=status))

    @rule(organization=who)
    def complete(self, organization: str) -> None:
        self.say(OutcomeSubmitted(referral_id=REFERRAL, organization=organization, outcome=Outcome.resolved))

    @precondition(lambda self: len(self.life.known.offers) > 1)
    @rule(organization=who, reason=st.sampled_from(WithdrawalReason))
    def withdraw(self, organization: str, reason: WithdrawalReason) -> None:
        self.say(WithdrawalSubmitted(referral_id=REFERRAL, organization=organization, reason=reason))

    @precondition(lambda self: len(self.life.known.offers) > 1)
    @rule(organization=who)
    def revoke(self, organization: str) -> None:
        self.say(RevocationSubmitted(referral_id=REFERRAL, organization=organization))

    @precondition(lambda self: len(self.life.known.offers) > 2)
    @rule()
    def refuse_the_case(self) -> None:
        self.say(CaseRefused(referral_id=REFERRAL, organization=SENDER, problem={}))

    @rule(organization=who)
    def place(self, organization: str) -> None:
        self.say(PlacementSubmitted(referral_id=REFERRAL, organization=organization, coordinator="kg.desk"))

    @invariant()
    def at_most_one_offer_is_accepted_and_it_stays_so(self) -> None:
        if self.life.referral is None:
            return
        accepted = [offer for offer in self.life.known.offers if offer.state is OfferState.accepted]
        assert len(accepted) <= 1
        if self.accepted_offer is not None:
            assert [offer.id for offer in accepted] == [self.accepted_offer]
        if accepted:
            self.accepted_offer = accepted[0].id
            assert self.life.known.acceptor == accepted[0].organization
        else:
            assert self.life.known.acceptor is None

    @invariant()
    def it_is_never_stuck(self) -> None:
        if self.life.referral is None:
            return
        known = self.life.known
        assert known.status is not ReferralStatus.requested
        assert bool(known.open_offers) == (known.status is ReferralStatus.offered)
        if known.status in HELD:
            assert known.acceptor is not None
        # silence after an acceptance always has a deadline
        held_and_open = known.status in HELD and not known.is_closed
        assert (known.due_at is not None) == held_and_open

    @invariant()
    def a_closed_referral_never_changes(self) -> None:
        if self.closed is not None:
            assert self.life.referral == self.closed
        elif self.life.referral is not None and self.life.referral.is_closed:
            self.closed = self.life.referral

    @invariant()
    def whoever_was_asked_was_eligible_by_some_decision(self) -> None:
        ranked = {candidate.organization for decision in self.life.decisions for candidate in decision.ranked}
        asked = {fact.organization for fact in self.life.facts if isinstance(fact, OfferOpened)}
        assert asked <= ranked
        assert asked.isdisjoint({"ru.consulate", "ru.applicant", SENDER, "kz.stranger"})

    @invariant()
    def nobody_has_two_open_offers(self) -> None:
        if self.life.referral is not None:
            asked = [offer.organization for offer in self.life.known.open_offers]
            assert len(asked) == len(set(asked))


Walk.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None, derandomize=True)
TestWalk = Walk.TestCase
