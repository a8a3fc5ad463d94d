"""Referrals that splits link, in memory: a small store that takes linked transitions one after the other."""

from __future__ import annotations

from itertools import count
from typing import Any

from contracts.codes import Answer, Outcome
from contracts.facts import AnswerSubmitted, Fact, OutcomeSubmitted, ReferralSubmitted
from contracts.records import load, plain
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.lifecycle import apply
from services.routing.domain.observation import NOTHING_OBSERVED
from services.routing.domain.open_agreement import has_agreement
from services.routing.domain.open_approval import is_approved
from services.routing.domain.open_consent import has_consent
from services.routing.domain.parts import Part, parts_of
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral
from services.routing.domain.referral_circumstances import circumstances_of
from services.routing.domain.transition import Transition, TransitionContext
from tests.support.events import message_of
from tests.unit.services.routing.samples import NOW, REFERRAL, SENDER, consent, facts

LEGAL, SHELTER, WORK = "legal.wage_claim", "basic_needs", "work"


class Families:
    """The referrals of one submission. facts: everything that was published, with the referral's id."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.policy = RoutingPolicy()
        self.now = NOW
        self.referrals: dict[str, Referral] = {}
        self.facts: list[tuple[str, Fact]] = []
        self.decisions: list[Decision] = []
        self._ids = count(1)

    def new_id(self) -> str:
        return f"018f0000-0000-7000-9000-{next(self._ids):012d}"

    def given(self, referral: Referral) -> Circumstances:
        return circumstances_of(
            referral,
            directory=self.directory,
            observed=lambda _: NOTHING_OBSERVED,
            now=self.now,
            policy=self.policy,
        )

    def context(self) -> TransitionContext:
        def decide_now(referral: Referral, trigger: Trigger, placed_with: str | None = None) -> Decision:
            return decide(self.new_id(), self.given(referral), self.policy, trigger, placed_with=placed_with)

        def parts(referral: Referral) -> tuple[Part, ...]:
            return parts_of(self.given(referral))

        return TransitionContext(
            now=self.now,
            new_id=self.new_id,
            policy=self.policy,
            decide=decide_now,
            in_good_standing=self.directory.in_good_standing,
            can_submit=self.directory.in_good_standing,
            is_approved=lambda referral, offer: is_approved(offer, self.given(referral)),
            has_agreement=lambda referral, offer: has_agreement(
                referral, offer, self.directory, self.now.date()
            ),
            has_consent=lambda referral, offer: has_consent(referral, offer, self.directory),
            referral=self.referrals.get,
            parts=parts,
        )

    def apply(self, fact: Fact, referral_id: str = REFERRAL) -> list[tuple[str, Fact]]:
        """Apply a fact from outside; return what was published, with the referral's id."""
        known = len(self.facts)
        event = message_of(fact, referral_id, time=self.now, id_=self.new_id())
        self.take(apply(self.referrals.get(referral_id), event, self.context()))
        return self.facts[known:]

    def take(self, step: Transition) -> None:
        assert step.referral is not None
        self.referrals[step.referral.id] = step.referral
        for fact in step.facts:
            # Partners validate the messages that they get.
            assert load(type(fact), plain(fact)) == fact
        self.facts += [(step.referral.id, fact) for fact in step.facts]
        self.decisions += step.decisions
        for following in step.linked:
            if (linked := following()) is not None:
                self.take(linked)

    def submit(self, *needs: str, several: bool = True, **changes: Any) -> Referral:
        """Submit a referral; return it."""
        agreed = consent(several_organizations=several)
        stated = facts(**{"needs": needs, "consent": agreed, **changes})
        self.apply(ReferralSubmitted(referral_id=REFERRAL, sender=SENDER, facts=stated))
        return self.whole

    @property
    def whole(self) -> Referral:
        return self.referrals[REFERRAL]

    @property
    def parts(self) -> list[Referral]:
        return [self.referrals[part_id] for part_id in self.whole.part_ids]

    def accept(self, referral: Referral) -> str:
        """Accept the first open offer; return the acceptor."""
        offer = self.referrals[referral.id].open_offers[0]
        answer = AnswerSubmitted(
            referral_id=referral.id,
            offer_id=offer.id,
            organization=offer.organization,
            answer=Answer.accept,
        )
        self.apply(answer, referral.id)
        return offer.organization

    def complete(self, referral: Referral, outcome: Outcome = Outcome.resolved) -> list[tuple[str, Fact]]:
        """Accept and complete a referral; return what its completion published."""
        by = self.accept(referral)
        return self.apply(
            OutcomeSubmitted(referral_id=referral.id, organization=by, outcome=outcome), referral.id
        )
