"""State machine: several referrals in a network that changes, with places, consequences and policies.

A small store in memory takes the part of routing's database. After every step each offer that was opened is
checked against all hard rules as of that moment, and each open referral has a next step. When the timer has
decided again what `handlers/unplaced.py` decides again, the directory could place no unplaced referral.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from contracts.codes import (
    CONSENT_REVOKED,
    Answer,
    CapacityStatus,
    CoordinatorAct,
    DeclineReason,
    HandBackReason,
    InterventionReason,
    OfferState,
    Outcome,
    ProgressStatus,
    ReferralStatus,
    Urgency,
    Vetting,
    WithdrawalReason,
)
from contracts.facts import (
    AcceptanceRevoked,
    AnswerSubmitted,
    CaseRefused,
    CoordinatorWithdrawalSubmitted,
    Fact,
    HandBackSubmitted,
    InterventionSubmitted,
    OfferAccepted,
    OfferDeclined,
    OfferOpened,
    OfferRevoked,
    OutcomeSubmitted,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralHandedBack,
    ReferralRejoined,
    ReferralSubmitted,
    ReferralUnplaced,
    RevocationSubmitted,
    WithdrawalSubmitted,
)
from contracts.organization import Capacity, Organization
from contracts.records import load, plain
from services.routing.domain import rules
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.consequences import CONSEQUENCES, declined_for_person
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.ending import FAILED, WITHDRAWN
from services.routing.domain.escalation_steps import Escalation, EscalationStep, StepAct
from services.routing.domain.lifecycle import act_when_due, apply, remind
from services.routing.domain.observation import NOTHING_OBSERVED, Observation, load_between
from services.routing.domain.offer import ACCEPTED_ELSEWHERE, Offer
from services.routing.domain.offer_closing import AFTER_ACCEPTANCE
from services.routing.domain.open_agreement import has_agreement
from services.routing.domain.open_approval import is_approved
from services.routing.domain.open_consent import has_consent
from services.routing.domain.open_offers import ask_again
from services.routing.domain.parts import parts_of
from services.routing.domain.policy import FullFor, RoutingPolicy
from services.routing.domain.referral import Referral
from services.routing.domain.referral_circumstances import circumstances_of
from services.routing.domain.standing import revoke_suspended
from services.routing.domain.transition import Transition, TransitionContext
from services.routing.domain.withdrawn_offers import LONGEST, counted_at
from tests.long_run import times
from tests.support.events import message_of
from tests.support.walks import quarters_of
from tests.unit.services.routing.concerned import is_concerned
from tests.unit.services.routing.samples import (
    NOW,
    SENDER,
    consent,
    facts,
    network,
    organization,
    service,
)

# Four tests: a thousand walks in `make test`, which takes seconds.
WALKS = settings(max_examples=times(250, 500), stateful_step_count=25, deadline=None, derandomize=True)
NAMES = ("ru.one", "ru.two", "ru.three", "ru.four")
LEGAL, SHELTER = "legal.wage_claim", "basic_needs"
# Which needs each organisation meets. One of them covers both in some walks.
MET = {"ru.one": (LEGAL,), "ru.two": (LEGAL,), "ru.three": (LEGAL,), "ru.four": (SHELTER,)}
# A sender without a live client, so a coordinator may withdraw for it.
OTHER = "kg.other"
WITHOUT_OUTCOME = {ReferralStatus.withdrawn, ReferralStatus.entered_in_error, ReferralStatus.failed}
# The reasons of offers that end with their referral, or had lost to an acceptance before.
ENDED_WITH_IT = {WITHDRAWN, FAILED, CONSENT_REVOKED, ACCEPTED_ELSEWHERE}
HELD = {ReferralStatus.accepted, ReferralStatus.in_progress, ReferralStatus.on_hold}
ASK_TWICE = (EscalationStep(at=0.3, act=StepAct.ask_another), EscalationStep(at=0.6, act=StepAct.ask_another))
POLICIES = (
    RoutingPolicy(),
    RoutingPolicy(version="one at once", emergency_offers=1),
    RoutingPolicy(
        version="patient", emergency_offers=4, full_for=FullFor(emergency=60, urgent=60, routine=60)
    ),
    RoutingPolicy(version="impatient", escalation=Escalation(emergency=ASK_TWICE, urgent=ASK_TWICE)),
)
moments = st.integers(min_value=0, max_value=30)
receivers = st.sampled_from(NAMES)
# A referral with two needs may be split.
wanted = st.sampled_from([(LEGAL,), (SHELTER, LEGAL), (LEGAL, SHELTER)])
indexes = st.integers(min_value=0, max_value=100)


def answer_to(offer: Offer, reason: DeclineReason | None = None) -> AnswerSubmitted:
    """An acceptance, or a decline for the reason."""
    return AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.id,
        organization=offer.organization,
        answer=Answer.accept if reason is None else Answer.decline,
        reason=reason,
    )


class NetworkWalk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.met: dict[str, tuple[str, ...]] = {**MET}
        self.directory = network(
            *(organization(name, service(needs=MET[name])) for name in NAMES),
            replace(organization(OTHER), services=()),
        )
        self.vetting = dict.fromkeys(NAMES, Vetting.vetted)
        self.policy = POLICIES[0]
        self.now = NOW
        self.referrals: dict[str, Referral] = {}
        self.observed: dict[str, Observation] = {}
        self.held = Counter[str]()
        # Which organisation has ever accepted which referral.
        self.accepted: set[tuple[str, str]] = set()
        self.unplaced: set[str] = set()
        # By organisation: the offers that a coordinator moved on because nobody answered. reason: of the act.
        self.silent = Counter[str]()
        self.reason: object = None
        # Keyed by offer: how long its answer took until the API received it.
        self.answer_seconds: dict[str, int] = {}
        # The parts whose open offers ended because an acceptance of the whole was read late.
        self.taken_together: set[str] = set()
        # Keyed by the id of a referral or the whole of a part: those that gave a reason about the person.
        self.out_of_question = defaultdict[str, set[str]](set)
        # The causes on which the timer acts: organisations with other loads, and with other records; the day
        # and the policy of the last review.
        self.loaded = set[str]()
        self.amended = set[str]()
        self.reviewed: tuple[dt.date, RoutingPolicy] | None = None
        self._ids = count(1)

    # The store and the transitions

    def new_id(self) -> str:
        return f"018f0000-0000-7000-9000-{next(self._ids):012d}"

    def observation(self, name: str) -> Observation:
        return self.observed.get(name, NOTHING_OBSERVED)

    def given(self, referral: Referral) -> Circumstances:
        return circumstances_of(
            referral,
            directory=self.directory,
            observed=self.observation,
            now=self.now,
            policy=self.policy,
        )

    def context(self) -> TransitionContext:
        def decide_now(referral: Referral, trigger: Trigger, placed_with: str | None = None) -> Decision:
            return decide(self.new_id(), self.given(referral), self.policy, trigger, placed_with=placed_with)

        return TransitionContext(
            now=self.now,
            new_id=self.new_id,
            policy=self.policy,
            decide=decide_now,
            in_good_standing=self.directory.in_good_standing,
            can_submit=lambda name: name != OTHER and self.directory.in_good_standing(name),
            is_approved=lambda referral, offer: is_approved(offer, self.given(referral)),
            has_agreement=lambda referral, offer: has_agreement(
                referral, offer, self.directory, self.now.date()
            ),
            has_consent=lambda referral, offer: has_consent(referral, offer, self.directory),
            referral=self.referrals.get,
            parts=lambda referral: parts_of(self.given(referral)),
        )

    def apply(self, fact: Fact, referral_id: str, admitted_at: dt.datetime | None = None) -> None:
        event = message_of(fact, referral_id, time=admitted_at or self.now, id_=self.new_id())
        self.reason = getattr(fact, "reason", None)
        self.take(apply(self.referrals.get(referral_id), event, self.context()))
        if isinstance(fact, AnswerSubmitted):
            offer = self.referrals[referral_id].offer(fact.offer_id)
            assert offer is not None
            if offer.state in (OfferState.accepted, OfferState.declined):
                waited = (admitted_at or self.now) - offer.opened_at
                self.answer_seconds.setdefault(offer.id, round(waited.total_seconds()))

    def take(self, step: Transition) -> None:
        after = step.referral
        assert after is not None
        before = self.referrals.get(after.id)
        for fact in step.facts:
            if isinstance(fact, ReferralRejoined):
                self.taken_together |= {id_ for id_ in fact.parts if self.referrals[id_].open_offers}
        whole = after.id if after.part is None else after.part.referral_id
        for fact in step.facts:
            if (
                isinstance(fact, OfferDeclined | ReferralHandedBack)
                and CONSEQUENCES[fact.reason].concerns_person
            ):
                self.out_of_question[whole].add(fact.organization)
        self._offers_keep_the_rules(before, step, self.out_of_question[whole])
        for fact in step.facts:
            # Partners validate the messages that they get.
            load(type(fact), plain(fact))
            match fact:
                case OfferAccepted():
                    assert self.held[after.id] == 0, "accepted twice"
                    self.held[after.id] += 1
                    self.accepted.add((fact.organization, after.id))
                case ReferralHandedBack() | AcceptanceRevoked():
                    self.held[after.id] -= 1
                case ReferralUnplaced():
                    self.unplaced.add(after.id)
                case OfferRevoked(reason="moved_on") if self.reason is InterventionReason.no_answer:
                    assert before is not None
                    moved = before.offer(fact.offer_id)
                    assert moved is not None
                    self.silent[fact.organization] += moved.is_half_over(self.now)
        for changes in (step.observed, load_between(before, after)):
            for name, change in changes.items():
                self.observed[name] = self.observation(name).plus(change)
                self.loaded.add(name)
        self.referrals[after.id] = after
        for following in step.linked:
            if (linked := following()) is not None:
                self.take(linked)

    def _offers_keep_the_rules(
        self, before: Referral | None, step: Transition, out_of_question: Collection[str]
    ) -> None:
        """Each new offer breaks no rule at this moment, except what a coordinator may override.

        None goes to an organisation that gave a reason about the person, for any part of the referral.
        """
        after = step.referral
        assert after is not None
        known = {offer.id for offer in before.offers} if before is not None else set()
        earlier = replace(after, offers=tuple(offer for offer in after.offers if offer.id in known))
        for offer in after.offers:
            if offer.id in known:
                continue
            assert any(isinstance(fact, OfferOpened) and fact.offer_id == offer.id for fact in step.facts)
            assert offer.organization not in out_of_question, f"{offer.organization} was offered it again"
            offered = next(
                one
                for one in self.directory.offered_services_of(offer.organization)
                if one.service.id == offer.service
            )
            broken = {failure.rule for failure in rules.failures(offered, self.given(earlier))}
            allowed = rules.COORDINATOR_MAY_OVERRIDE if offer.placed_by else frozenset()
            assert broken <= allowed, f"offered to {offer.organization} against {broken - allowed}"

    def some(self, index: int, wanted: Callable[[Referral], bool]) -> Referral | None:
        found = [one for one in self.referrals.values() if wanted(one)]
        return found[index % len(found)] if found else None

    def an_offer(self, index: int) -> Offer | None:
        offers = [offer for one in self.referrals.values() for offer in one.offers]
        return offers[index % len(offers)] if offers else None

    # Steps of partners, coordinators and time

    @initialize(
        urgency=st.sampled_from(Urgency),
        to=st.sampled_from([None, None, *NAMES]),
        needs=wanted,
        one_covers_both=st.booleans(),
    )
    def first(self, urgency: Urgency, to: str | None, needs: tuple[str, ...], one_covers_both: bool) -> None:
        if one_covers_both:
            self.met["ru.two"] = (LEGAL, SHELTER)
            self.admit(organization("ru.two", service(needs=self.met["ru.two"])))
        self.submit(urgency, to, needs)

    @rule(
        urgency=st.sampled_from(Urgency),
        to=st.sampled_from([None, None, None, *NAMES]),
        needs=wanted,
        by=st.sampled_from([SENDER, OTHER]),
    )
    def submit(self, urgency: Urgency, to: str | None, needs: tuple[str, ...], by: str = SENDER) -> None:
        referral_id = self.new_id()
        several = consent(several_organizations=len(needs) > 1)
        stated = facts(urgency=urgency, to=to, needs=needs, consent=several)
        self.apply(ReferralSubmitted(referral_id=referral_id, sender=by, facts=stated), referral_id)

    @rule(index=indexes, reason=st.sampled_from([None, None, *DeclineReason]), in_time=st.booleans())
    def answer(self, index: int, reason: DeclineReason | None, in_time: bool) -> None:
        if (offer := self.an_offer(index)) is None:
            return
        self.apply(answer_to(offer, reason), offer.referral_id, offer.opened_at if in_time else None)

    @rule(index=indexes, reason=st.sampled_from(HandBackReason))
    def hand_back(self, index: int, reason: HandBackReason) -> None:
        if (one := self.some(index, lambda one: one.acceptor is not None)) is not None:
            assert one.acceptor is not None
            self.apply(
                HandBackSubmitted(referral_id=one.id, organization=one.acceptor, reason=reason), one.id
            )
            after = self.referrals[one.id]
            assert one.is_closed or after.acceptor is None

    @rule(index=indexes, hours=moments)
    def hand_back_what_was_read_late(self, index: int, hours: int) -> None:
        """An acceptance in time that the hub reads some hours later, and its end, in one step."""
        if (one := self.some(index, lambda one: bool(one.open_offers))) is None:
            return
        offer = one.open_offers[0]
        self.time_passes(hours)
        self.apply(answer_to(offer), one.id, offer.opened_at)
        if self.referrals[one.id].acceptor == offer.organization:
            back = HandBackSubmitted(
                referral_id=one.id, organization=offer.organization, reason=HandBackReason.other
            )
            self.apply(back, one.id)

    @rule(index=indexes, urgency=st.sampled_from(Urgency), needs=wanted)
    def refer_onward(self, index: int, urgency: Urgency, needs: tuple[str, ...]) -> None:
        """The new referral is like any other in the following steps."""
        if (one := self.some(index, lambda one: one.acceptor is not None)) is None:
            return
        assert one.acceptor is not None
        onward = self.new_id()
        stated = facts(urgency=urgency, needs=needs, consent=consent(several_organizations=len(needs) > 1))
        self.apply(
            ReferralSubmitted(referral_id=onward, sender=one.acceptor, facts=stated, onward_from=one.id),
            onward,
        )
        asked = [offer for id_ in self.referrals[onward].family for offer in self.referrals[id_].offers]
        for offer in asked:
            assert not self.has_held(offer.organization, one), "asked again about a person it has had"

    def has_held(self, name: str, earlier: Referral) -> bool:
        """Return whether the organisation sent the referral, or accepted it or a part of it."""
        family = [self.referrals[id_] for id_ in earlier.family]
        return name == earlier.sender or any((name, one.id) in self.accepted for one in family)

    @rule(index=indexes, status=st.sampled_from([*ProgressStatus, None]))
    def report(self, index: int, status: ProgressStatus | None) -> None:
        if (one := self.some(index, lambda one: one.status in HELD)) is None:
            return
        assert one.acceptor is not None
        if status is None:
            done = OutcomeSubmitted(referral_id=one.id, organization=one.acceptor, outcome=Outcome.resolved)
            self.apply(done, one.id)
        else:
            self.apply(
                ProgressSubmitted(referral_id=one.id, organization=one.acceptor, status=status), one.id
            )

    @rule(index=indexes, outcome=st.sampled_from(Outcome))
    def answer_and_complete(self, index: int, outcome: Outcome) -> None:
        """A part's whole course in one step, so that walks see the end of the whole."""
        if (one := self.some(index, lambda one: one.part is not None and bool(one.open_offers))) is None:
            return
        offer = one.open_offers[0]
        self.apply(answer_to(offer), one.id, offer.opened_at)
        done = OutcomeSubmitted(referral_id=one.id, organization=offer.organization, outcome=outcome)
        self.apply(done, one.id)

    @rule(index=indexes)
    def decline_for_person_and_place_other_parts(self, index: int) -> None:
        """A coordinator cannot place another part with an organisation that will not help the person."""
        if (one := self.some(index, lambda one: one.part is not None and bool(one.open_offers))) is None:
            return
        assert one.part is not None
        offer = one.open_offers[0]
        self.apply(answer_to(offer, DeclineReason.conflict_of_interest), one.id, offer.opened_at)
        for part_id in self.referrals[one.part.referral_id].part_ids:
            placed = PlacementSubmitted(
                referral_id=part_id,
                organization=offer.organization,
                coordinator="kg.desk",
                reason=InterventionReason.other,
            )
            self.apply(placed, part_id)

    @rule(index=indexes, consent=st.booleans())
    def end(self, index: int, consent: bool) -> None:
        if (one := self.some(index, lambda one: len(one.offers) > 1 or bool(one.parts or one.part))) is None:
            return
        reason = WithdrawalReason.placed_elsewhere
        self.apply(
            RevocationSubmitted(referral_id=one.id, organization=one.sender)
            if consent
            else WithdrawalSubmitted(referral_id=one.id, organization=one.sender, reason=reason),
            one.id,
        )

    @rule(index=indexes)
    def refuse_case(self, index: int) -> None:
        """The vault cannot read the case of the whole, and nothing can continue."""
        if (one := self.some(index, lambda one: one.part is None and not one.is_closed)) is not None:
            self.apply(CaseRefused(referral_id=one.id, organization=one.sender, problem={}), one.id)

    @rule(index=indexes, void=st.booleans())
    def withdraw_for(self, index: int, void: bool) -> None:
        """A coordinator withdraws a referral whose sender cannot."""
        if (one := self.some(index, lambda one: one.part is None and one.sender == OTHER)) is None:
            return
        reason = WithdrawalReason.entered_in_error if void else WithdrawalReason.person_declined
        self.apply(
            CoordinatorWithdrawalSubmitted(
                referral_id=one.id, organization=OTHER, coordinator="kg.desk", reason=reason
            ),
            one.id,
        )

    @rule(
        index=indexes,
        name=receivers,
        reason=st.sampled_from([None, InterventionReason.other, InterventionReason.no_answer]),
    )
    def place(self, index: int, name: str, reason: InterventionReason | None) -> None:
        if (one := self.some(index, lambda one: not one.is_closed)) is not None:
            placed = PlacementSubmitted(
                referral_id=one.id, organization=name, coordinator="kg.desk", reason=reason
            )
            self.apply(placed, one.id)

    @rule(index=indexes, act=st.sampled_from(CoordinatorAct), hours=moments)
    def intervene(self, index: int, act: CoordinatorAct, hours: int) -> None:
        if (one := self.some(index, lambda one: not one.is_closed)) is not None:
            submission = InterventionSubmitted(
                referral_id=one.id,
                organization=None,
                coordinator="kg.desk",
                act=act,
                reason=InterventionReason.no_answer,
                until=self.now + dt.timedelta(hours=hours) if act is CoordinatorAct.extend else None,
            )
            self.apply(submission, one.id)

    # Changes of the directory and the policy

    @rule(name=receivers, vetting=st.sampled_from([Vetting.vetted, Vetting.vetted, Vetting.suspended]))
    def vet(self, name: str, vetting: Vetting) -> None:
        (offered,) = self.directory.offered_services_of(name)
        self.vetting[name] = vetting
        self.admit(organization(name, offered.service, vetting=vetting))
        self.tick()

    @rule(
        name=receivers,
        status=st.sampled_from([CapacityStatus.capacity, CapacityStatus.capacity, *CapacityStatus]),
        maximum=st.sampled_from([None, 0, 1, 2]),
    )
    def state_capacity(self, name: str, status: CapacityStatus, maximum: int | None) -> None:
        capacity = Capacity(status=status, updated_at=self.now, maximum=maximum)
        offered = service(needs=self.met[name], capacity=capacity)
        known = organization(name, offered, vetting=self.vetting[name])
        self.admit(known)
        self.tick()

    @rule(name=receivers, urgency=st.sampled_from(Urgency), needs=wanted)
    def readmit_one_only(self, name: str, urgency: Urgency, needs: tuple[str, ...]) -> None:
        """A referral that nobody may be asked about, until one organisation is readmitted."""
        for vetting, names in ((Vetting.suspended, NAMES), (Vetting.vetted, (name,))):
            for one in names:
                (offered,) = self.directory.offered_services_of(one)
                self.vetting[one] = vetting
                self.admit(organization(one, offered.service, vetting=vetting))
            if vetting is Vetting.suspended:
                self.submit(urgency, None, needs)
            self.tick()

    @rule(policy=st.sampled_from(POLICIES))
    def change_policy(self, policy: RoutingPolicy) -> None:
        self.policy = policy

    @rule(hours=moments)
    def time_passes(self, hours: int) -> None:
        self.now += dt.timedelta(hours=hours, seconds=1)
        self.tick()

    def admit(self, known: Organization) -> None:
        self.directory.put_organization(known)
        self.amended.add(known.id)

    def tick(self) -> None:
        """Do what routing's timer does: deadlines, suspensions, and new decisions for seeking referrals."""
        for referral_id in list(self.referrals):
            for offer in self.referrals[referral_id].offers:
                self.take(act_when_due(self.referrals[referral_id], offer.id, self.now, self.context()))
            self.take(remind(self.referrals[referral_id], self.context()))
            self.take(revoke_suspended(self.referrals[referral_id], self.context()))
        self.decide_again()
        self.nobody_waits_whom_the_directory_could_place()

    def decide_again(self) -> None:
        """Decide again only what `handlers/unplaced.py` does, until nothing changes any more."""
        for _ in range(100):
            is_review = self.reviewed != (self.now.date(), self.policy)
            if not (is_review or self.loaded or self.amended):
                return
            loaded, self.loaded = self.loaded, set()
            amended, self.amended = self.amended, set()
            self.reviewed = self.now.date(), self.policy
            for one in sorted(self.referrals.values(), key=lambda one: (one.facts.urgency, one.id)):
                if (
                    (is_review and one.is_seeking)
                    or any(organization in loaded for organization, _ in one.waiting)
                    or any(is_concerned(one, name, self.directory.reach_of(name)) for name in amended)
                ):
                    self.take(ask_again(self.referrals[one.id], self.context(), Trigger.review))
        raise AssertionError("new decisions without end")

    def nobody_waits_whom_the_directory_could_place(self) -> None:
        """Decide each unplaced referral, whatever has changed: none gets an offer, or is split."""
        for one in self.referrals.values():
            if one.status is ReferralStatus.unplaced:
                after = ask_again(one, self.context(), Trigger.review).referral
                assert after is not None
                assert after.status is ReferralStatus.unplaced, f"{one.facts.needs} waited for the next day"

    # Invariants

    @invariant()
    def open_referral_has_a_next_step(self) -> None:
        for one in self.referrals.values():
            assert bool(one.open_offers) == (one.status is ReferralStatus.offered)
            match one.status:
                case ReferralStatus.offered:
                    assert one.acceptor is None
                case ReferralStatus.unplaced:
                    assert one.id in self.unplaced, "not in the coordinators' queue"
                case status if status in HELD:
                    assert one.acceptor is not None
                    assert one.due_at is not None
                case ReferralStatus.split:
                    parts = [self.referrals[part_id] for part_id in one.part_ids]
                    assert any(not part.is_closed for part in parts), "nobody works on the referral"
                    assert (one.acceptor, one.due_at) == (None, None)
                case _:
                    assert one.is_closed
                    assert one.due_at is None
            accepted = [offer for offer in one.offers if offer.state is OfferState.accepted]
            assert [offer.organization for offer in accepted] == ([one.acceptor] if one.acceptor else [])

    @invariant()
    def due_time_of_a_seeking_referral_is_in_the_future(self) -> None:
        for one in self.referrals.values():
            if one.is_seeking and one.due_at is not None:
                assert one.due_at > self.now

    @invariant()
    def parts_divide_the_needs_and_end_with_the_whole(self) -> None:
        for one in self.referrals.values():
            if not one.parts:
                continue
            parts = [self.referrals[part_id] for part_id in one.part_ids]
            needs = [need for part in parts for need in part.facts.needs]
            assert sorted(needs) == sorted(set(one.facts.needs))
            # A timely acceptance of the whole has ended its parts.
            if one.status is not ReferralStatus.split:
                assert all(part.is_closed for part in parts)

    @invariant()
    def reason_about_the_person_holds_for_every_part(self) -> None:
        for one in self.referrals.values():
            for offer in one.offers:
                gave_reason = offer.state in (OfferState.declined, OfferState.returned)
                if not gave_reason or not CONSEQUENCES[offer.reason or ""].concerns_person:
                    continue
                family = [self.referrals[id_] for id_ in one.family if id_ in self.referrals]
                others = [other for other in family if not other.is_closed and not other.parts]
                assert all(offer.organization in declined_for_person(other) for other in others)
                asked = [asked.organization for other in others for asked in other.open_offers]
                assert offer.organization not in asked

    @invariant()
    def observations_equal_the_referrals(self) -> None:
        """Each place counts once, for its service, sender and urgency, until its offer or case ends."""
        held = Counter[tuple[str, str]]()
        demand = defaultdict[tuple[str, str], Counter[tuple[str, Urgency, str]]](Counter)
        for one in self.referrals.values():
            by = (one.sender, one.facts.urgency)
            for offer in one.offers:
                place = (offer.organization, offer.service)
                if offer.state is OfferState.open:
                    demand[place][(*by, "offers")] += 1
                elif offer.state is OfferState.accepted and one.status in HELD:
                    held[place] += 1
            if one.status is ReferralStatus.unplaced:
                for place in one.waits_for:
                    demand[place][(*by, "waiting")] += 1
        counted = set(held) | set(demand)
        seen = {
            (name, service_id): at_service
            for name, observed in self.observed.items()
            for service_id, at_service in observed.services.items()
        }
        assert set(seen) == counted
        for place, at_service in seen.items():
            assert at_service.accepted == held[place]
            assert {
                (*by, what): number
                for by, one in at_service.demand.items()
                for what, number in (("offers", one.offers), ("waiting", one.waiting))
                if number
            } == demand[place]

    @invariant()
    def answers_and_expiries_equal_the_offers(self) -> None:
        offers = [offer for one in self.referrals.values() for offer in one.offers]
        for name in NAMES:
            states = Counter(offer.state for offer in offers if offer.organization == name)
            # An acceptance that a coordinator revoked was answered, too.
            lost = [
                offer
                for offer in offers
                if offer.organization == name
                and offer.state is OfferState.revoked
                and offer.reason in AFTER_ACCEPTANCE
            ]
            seen = self.observation(name)
            returned = states[OfferState.returned] + len(lost)
            assert seen.returned == returned
            assert seen.answered == states[OfferState.accepted] + states[OfferState.declined] + returned
            assert seen.expired == states[OfferState.expired] + self.silent[name]
            # However late an answer was read, what it added is subtracted when an acceptance ends.
            assert seen.answer_seconds == sum(
                self.answer_seconds[offer.id]
                for offer in offers
                if offer.organization == name and offer.state in (OfferState.accepted, OfferState.declined)
            )

    @invariant()
    def offers_that_ended_with_their_referral_are_counted_once(self) -> None:
        ends: Counter[tuple[str, str, Urgency, dt.datetime]] = Counter()
        for one in self.referrals.values():
            if one.status not in WITHOUT_OUTCOME or one.id in self.taken_together:
                continue
            for offer in one.offers:
                with_it = offer.state is OfferState.accepted or offer.reason in ENDED_WITH_IT
                if with_it and one.updated_at - offer.opened_at <= LONGEST:
                    key = (offer.organization, one.sender, one.facts.urgency, counted_at(offer.opened_at))
                    ends[key] += 1
        for name in NAMES:
            counted = {
                (name, sender_id, urgency, at): number
                for sender_id, counts in self.observation(name).withdrawn.items()
                for (urgency, at), number in counts.items()
            }
            latest = max((key[3] for key in ends if key[0] == name), default=NOW)
            # Those opened more than a day before the latest one are dropped sooner or later.
            kept = {k: n for k, n in ends.items() if k[0] == name and k[3] >= latest - LONGEST}
            assert counted == kept


@pytest.mark.parametrize("quarter", quarters_of(NetworkWalk))
def test_network_keeps_its_invariants(quarter: type[NetworkWalk]) -> None:
    run_state_machine_as_test(quarter, settings=WALKS)
