"""Property test: invariants of a referral under random sequences of events."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contracts.codes import (
    Answer,
    CoordinatorAct,
    DeclineReason,
    HandBackReason,
    InterventionReason,
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
    AcceptanceRevoked,
    AnswerRefused,
    AnswerSubmitted,
    CaseRefused,
    Fact,
    HandBackRefused,
    HandBackSubmitted,
    InterventionRefused,
    InterventionSubmitted,
    OfferOpened,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    RevocationSubmitted,
    SubmissionRefused,
    WithdrawalSubmitted,
)
from services.routing.domain.lifecycle import act_when_due, remind
from services.routing.domain.referral import Referral
from services.routing.domain.tally import REASONS, UNPLACED_REASONS
from tests.long_run import times
from tests.support.walks import quarters_of
from tests.unit.services.routing.samples import (
    REFERRAL,
    SENDER,
    ReferralDriver,
    network,
    organization,
    service,
)

# Four tests: a thousand walks in `make test`, which takes seconds.
WALKS = settings(max_examples=times(250, 500), stateful_step_count=30, deadline=None, derandomize=True)
RECEIVERS = (
    organization("ru.one"),
    organization("ru.two", service(), service(id="near", areas=("RU-MOW", "RU-SPE"))),
    organization("ru.three"),
    organization("ru.slow", service(always_open=False)),
    organization("ru.far", service(areas=("RU-SPE",))),
    organization("ru.consulate", kind=OrganizationKind.consular_representative),
    organization("ru.applicant", vetting=Vetting.applied),
)
NAMES = [*(receiver.id for receiver in RECEIVERS), SENDER, "kz.stranger"]
organizations = st.sampled_from(NAMES)
HELD_STATUSES = {ReferralStatus.accepted, ReferralStatus.in_progress, ReferralStatus.on_hold}
ACCEPTED_STATUSES = {
    ReferralStatus.accepted,
    ReferralStatus.in_progress,
    ReferralStatus.on_hold,
    ReferralStatus.completed,
}


class Walk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = ReferralDriver(network(*RECEIVERS))
        self.closed: Referral | None = None
        self.accepted_offer: str | None = None

    @initialize(
        urgency=st.sampled_from(Urgency),
        to=st.sampled_from([None, None, "ru.one", "ru.consulate"]),
    )
    def submit(self, urgency: Urgency, to: str | None) -> None:
        self.driver.submit(urgency=urgency, to=to)

    def apply(self, fact: Fact, admitted_at: dt.datetime | None = None) -> None:
        before = self.driver.known
        published = self.driver.apply(fact, admitted_at=admitted_at)
        refusals = (
            AnswerRefused | SubmissionRefused | PlacementRefused | HandBackRefused | InterventionRefused
        )
        if any(isinstance(one, AcceptanceRevoked) for one in published):
            assert before.overdue_since is not None, "an acceptor in time lost the referral"
            self.accepted_offer = None
        if any(isinstance(one, refusals) for one in published):
            assert len(published) == 1
            assert self.driver.referral is before

    @rule(
        data=st.data(),
        accepts=st.booleans(),
        stranger=st.sampled_from([None] * 5 + NAMES),
        in_time=st.booleans(),
    )
    def answer(self, data: st.DataObject, accepts: bool, stranger: str | None, in_time: bool) -> None:
        """in_time: the API received the answer before the deadline, however late it is read."""
        if not self.driver.known.offers:
            return
        offer = data.draw(st.sampled_from(self.driver.known.offers))
        admitted_at = offer.opened_at if in_time else None
        self.apply(
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
        driver = self.driver
        driver.now += dt.timedelta(hours=hours)
        for offer in driver.known.offers:
            driver.take(act_when_due(driver.known, offer.id, driver.now, driver.context()))
        driver.take(remind(driver.known, driver.context()))

    @rule(organization=organizations, status=st.sampled_from(ProgressStatus))
    def progress(self, organization: str, status: ProgressStatus) -> None:
        self.apply(ProgressSubmitted(referral_id=REFERRAL, organization=organization, status=status))

    @rule(organization=organizations)
    def complete(self, organization: str) -> None:
        self.apply(
            OutcomeSubmitted(referral_id=REFERRAL, organization=organization, outcome=Outcome.resolved)
        )

    @rule(organization=organizations, reason=st.sampled_from(HandBackReason))
    def hand_back(self, organization: str, reason: HandBackReason) -> None:
        before = self.driver.known.acceptor
        self.apply(HandBackSubmitted(referral_id=REFERRAL, organization=organization, reason=reason))
        if before == organization and self.driver.known.acceptor is None:
            self.accepted_offer = None

    @precondition(lambda self: len(self.driver.known.offers) > 1)
    @rule(organization=organizations, reason=st.sampled_from(WithdrawalReason))
    def withdraw(self, organization: str, reason: WithdrawalReason) -> None:
        self.apply(WithdrawalSubmitted(referral_id=REFERRAL, organization=organization, reason=reason))

    @precondition(lambda self: len(self.driver.known.offers) > 1)
    @rule(organization=organizations)
    def revoke(self, organization: str) -> None:
        self.apply(RevocationSubmitted(referral_id=REFERRAL, organization=organization))

    @precondition(lambda self: len(self.driver.known.offers) > 2)
    @rule()
    def refuse_the_case(self) -> None:
        self.apply(CaseRefused(referral_id=REFERRAL, organization=SENDER, problem={}))

    @rule(organization=organizations, reason=st.sampled_from([None, *InterventionReason]))
    def place(self, organization: str, reason: InterventionReason | None) -> None:
        before = self.driver.known
        self.apply(
            PlacementSubmitted(
                referral_id=REFERRAL, organization=organization, coordinator="kg.desk", reason=reason
            )
        )
        if before.status is not ReferralStatus.unplaced and reason is None:
            assert self.driver.known is before

    @rule(
        organization=st.sampled_from([None] * 5 + NAMES),
        act=st.sampled_from(CoordinatorAct),
        hours=st.integers(min_value=-100, max_value=1000),
    )
    def intervene(self, organization: str | None, act: CoordinatorAct, hours: int) -> None:
        self.apply(
            InterventionSubmitted(
                referral_id=REFERRAL,
                organization=organization,
                coordinator="kg.desk",
                act=act,
                reason=InterventionReason.other,
                until=self.driver.now + dt.timedelta(hours=hours) if act is CoordinatorAct.extend else None,
            )
        )

    @invariant()
    def loads_equal_the_counts_from_the_referral_itself(self) -> None:
        known = self.driver.referral
        if known is None:
            return
        open_offers = Counter((o.organization, o.service) for o in known.offers if o.state is OfferState.open)
        held = Counter(
            (offer.organization, offer.service)
            for offer in known.offers
            if known.status in HELD_STATUSES and offer.state is OfferState.accepted
        )
        counted = {
            (name, service): (load.accepted, load.pending)
            for name, seen in self.driver.loads.items()
            for service, load in seen.services.items()
            if load.accepted or load.pending
        }
        assert counted == {place: (held[place], open_offers[place]) for place in {**held, **open_offers}}

    @invariant()
    def at_most_one_offer_is_accepted_for_good(self) -> None:
        if self.driver.referral is None:
            return
        accepted = [offer for offer in self.driver.known.offers if offer.state is OfferState.accepted]
        assert len(accepted) <= 1
        if self.accepted_offer is not None:
            assert [offer.id for offer in accepted] == [self.accepted_offer]
        if accepted:
            self.accepted_offer = accepted[0].id
            assert self.driver.known.acceptor == accepted[0].organization
        else:
            assert self.driver.known.acceptor is None

    @invariant()
    def open_referral_has_a_next_step(self) -> None:
        if self.driver.referral is None:
            return
        known = self.driver.known
        assert known.status is not ReferralStatus.requested
        assert bool(known.open_offers) == (known.status is ReferralStatus.offered)
        if known.status in ACCEPTED_STATUSES:
            assert known.acceptor is not None
        # an accepted referral always has a deadline
        if known.status in ACCEPTED_STATUSES and not known.is_closed:
            assert known.due_at is not None
        if known.is_closed:
            assert known.due_at is None

    @invariant()
    def deadlines_stay_within_the_policy(self) -> None:
        if self.driver.referral is None:
            return
        known, policy = self.driver.known, self.driver.policy
        longest = policy.longest_answer(known.facts.urgency)
        assert all(offer.deadline <= offer.opened_at + longest for offer in known.offers)
        if known.overdue_since is not None:
            assert known.acceptor is not None
            assert not known.is_closed
            assert known.overdue_since <= self.driver.now
        if known.due_at is not None:
            on_hold = known.status is ReferralStatus.on_hold
            longest = policy.longest_report(known.facts.urgency, on_hold=on_hold)
            assert known.due_at <= self.driver.now + longest

    @invariant()
    def closed_referral_never_changes(self) -> None:
        referral = self.driver.referral
        if self.closed is not None:
            # Only a withdrawal of the consent is noted, once.
            assert referral is not None
            assert referral.consent_revoked or not self.closed.consent_revoked
            assert replace(referral, consent_revoked=self.closed.consent_revoked) == self.closed
        if referral is not None and referral.is_closed:
            self.closed = referral

    @invariant()
    def every_offer_went_to_an_eligible_candidate(self) -> None:
        ranked = {
            candidate.organization for decision in self.driver.decisions for candidate in decision.ranked
        }
        asked = {fact.organization for fact in self.driver.facts if isinstance(fact, OfferOpened)}
        assert asked <= ranked
        assert asked.isdisjoint({"ru.consulate", "ru.applicant", SENDER, "kz.stranger"})

    @invariant()
    def every_end_of_an_offer_is_one_of_the_counted_kinds(self) -> None:
        tally = self.driver.tally
        assert [end for end in tally.ended if end.reason not in REASONS[end.result]] == []
        assert set(tally.unplaced) <= set(UNPLACED_REASONS)
        closed = [] if self.driver.referral is None else self.driver.known.offers
        assert len(tally.ended) >= sum(not offer.is_open for offer in closed)

    @invariant()
    def no_organization_has_two_open_offers(self) -> None:
        if self.driver.referral is not None:
            asked = [offer.organization for offer in self.driver.known.open_offers]
            assert len(asked) == len(set(asked))


@pytest.mark.parametrize("quarter", quarters_of(Walk))
def test_referral_keeps_its_invariants(quarter: type[Walk]) -> None:
    run_state_machine_as_test(quarter, settings=WALKS)
