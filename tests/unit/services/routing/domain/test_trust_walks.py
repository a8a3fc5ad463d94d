"""State machine: the network of `test_network_walks.py` with what trust depends on, and with restarts.

Agreements begin and end, approvals are granted and withdrawn, persons exclude organisations, members are
branches of others, processes restart, and policies bound senders. Every decision is made again from its
record.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from contracts.codes import (
    CoordinatorAct,
    DisclosureClass,
    HandBackReason,
    InterventionReason,
    OrganizationKind,
    ReferralStatus,
    Urgency,
)
from contracts.facts import (
    AlertClosed,
    HandBackSubmitted,
    InterventionSubmitted,
    OfferAccepted,
    ReferralOverdue,
    ReferralSubmitted,
    ReferralUnplaced,
)
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, ApprovedService, Organization
from contracts.records import dump
from services.routing.domain.alerts import closed_alerts
from services.routing.domain.coordination_queue import QueueKind, is_in_queue
from services.routing.domain.decision import Decision
from services.routing.domain.fairness import Fairness
from services.routing.domain.open_agreement import has_agreement
from services.routing.domain.open_approval import is_approved
from services.routing.domain.open_consent import has_consent
from services.routing.domain.places import OffersPerSender
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import made_again
from services.routing.domain.referral import Referral
from services.routing.domain.standing import (
    revoke_unapproved,
    revoke_without_agreement,
    revoke_without_consent,
)
from services.routing.domain.transition import Transition
from tests.long_run import times
from tests.support.walks import quarters_of
from tests.unit.services.routing.domain.test_network_walks import (
    HELD,
    LEGAL,
    NAMES,
    OTHER,
    POLICIES,
    SHELTER,
    NetworkWalk,
    answer_to,
    indexes,
    moments,
    receivers,
)
from tests.unit.services.routing.samples import NOW, SENDER, agreement, consent, facts, organization, service

WALKS = settings(max_examples=times(60, 250), stateful_step_count=25, deadline=None, derandomize=True)
TRAFFICKING = "protection.trafficking"
PARENTS = {"ru.three": "ru.two"}
wanted = st.sampled_from(
    [
        (LEGAL,),
        (TRAFFICKING,),
        (LEGAL, TRAFFICKING),
        (TRAFFICKING, SHELTER),
        (SHELTER, LEGAL),
        (LEGAL, SHELTER),
    ]
)
BOUNDED = (
    *POLICIES,
    RoutingPolicy(version="bounded", offers_per_sender=OffersPerSender(most=3, withdrawn=3)),
    RoutingPolicy(version="many", emergency_offers=20, fairness=Fairness(explore=0.5, few=0, band=0.3)),
)


class TrustWalk(NetworkWalk):
    def __init__(self) -> None:
        super().__init__()
        self.met = {
            "ru.one": (LEGAL, TRAFFICKING),
            "ru.two": (LEGAL, TRAFFICKING),
            "ru.three": (LEGAL,),
            "ru.four": (SHELTER, TRAFFICKING),
        }
        self.approved = {"ru.one", "ru.four"}
        # Keyed by referral: which alerts about it are open.
        self.alerts = defaultdict[str, set[str]](set)
        self.kind = OrganizationKind.ngo
        # The agreements as they are, by id.
        self.agreed: dict[str, Agreement] = {}
        self.agree(agreement(disclosure=DisclosureClass.sensitive))
        for name in NAMES:
            self.admit(organization(name, service(needs=self.met[name])))

    # The directory

    def admit(self, known: Organization) -> None:
        """Put an organisation with its parent and its approval."""
        approval = ApprovedService(service="legal", needs=(TRAFFICKING,), by="kg.operator", at=NOW)
        super().admit(
            replace(
                known,
                kind=self.kind if known.id == "ru.two" else known.kind,
                parent=PARENTS.get(known.id),
                approved_services=(approval,) if known.id in self.approved else (),
            )
        )

    def agree(self, one: Agreement) -> None:
        earlier = self.agreed.get(one.id)
        self.directory.put_agreement(one)
        self.agreed[one.id] = one
        self._concerned({*one.parties, *(() if earlier is None else earlier.parties)})

    def _concerned(self, parties: set[str] | frozenset[str]) -> None:
        """Note changed agreements as `handlers/unplaced.py` does."""
        if EVERY_VETTED_ORGANIZATION in parties:
            self.reviewed = None
        self.amended |= self.directory.with_branches(parties - {EVERY_VETTED_ORGANIZATION})

    @rule(name=receivers, at_once=st.booleans())
    def change_approval(self, name: str, at_once: bool) -> None:
        """at_once: whether the timer looks at the change before anything else happens."""
        self.approved ^= {name}
        (offered,) = self.directory.offered_services_of(name)
        self.admit(organization(name, offered.service, vetting=self.vetting[name]))
        if at_once:
            self.tick()

    @rule(days=st.sampled_from([None, -1, 0, 1]), at_once=st.booleans())
    def change_agreement_of_all(self, days: int | None, at_once: bool) -> None:
        self.agree(replace(agreement(disclosure=DisclosureClass.sensitive), effective_until=self._day(days)))
        if at_once:
            self.tick()

    @rule(
        name=receivers,
        by=st.sampled_from([SENDER, OTHER]),
        begins=st.sampled_from([-1, 0, 1]),
        days=st.sampled_from([None, -1, 0, 1]),
        disclosure=st.sampled_from(DisclosureClass),
    )
    def change_agreement(
        self, name: str, by: str, begins: int, days: int | None, disclosure: DisclosureClass
    ) -> None:
        begin = self.now.date() + dt.timedelta(days=begins)
        until = self._day(days)
        self.agree(
            agreement(
                id=f"{by}-{name}".replace(".", "-"),
                parties=(by, name),
                disclosure=disclosure,
                effective_from=begin,
                effective_until=None if until is None else max(begin, until),
            )
        )
        self.tick()

    def _day(self, days: int | None) -> dt.date | None:
        return None if days is None else self.now.date() + dt.timedelta(days=days)

    @rule(kind=st.sampled_from([OrganizationKind.ngo, OrganizationKind.state_body]), at_once=st.booleans())
    def change_kind(self, kind: OrganizationKind, at_once: bool) -> None:
        """ru.two, of which ru.three is a branch, becomes a state body, or one no longer."""
        self.kind = kind
        for name in ("ru.two", "ru.three"):
            (offered,) = self.directory.offered_services_of(name)
            self.admit(organization(name, offered.service, vetting=self.vetting[name]))
        if at_once:
            self.tick()

    @rule(name=receivers)
    def rename_service(self, name: str) -> None:
        """The organisation gives its service another id, and back."""
        (offered,) = self.directory.offered_services_of(name)
        renamed = replace(offered.service, id="other" if offered.service.id == "legal" else "legal")
        self.admit(organization(name, renamed, vetting=self.vetting[name]))
        self.tick()

    @rule(policy=st.sampled_from(BOUNDED))
    def change_policy(self, policy: RoutingPolicy) -> None:
        self.policy = policy

    @rule()
    def restart(self) -> None:
        """A process that was killed forgets what it was about to look at, and reviews everything."""
        self.loaded, self.amended, self.reviewed = set(), set(), None
        self.tick()

    # Partners and coordinators

    @rule(index=indexes)
    def accept(self, index: int) -> None:
        if (one := self.some(index, lambda one: bool(one.open_offers))) is not None:
            offer = one.open_offers[index % len(one.open_offers)]
            self.apply(answer_to(offer), one.id, offer.opened_at)

    @rule(index=indexes)
    def accept_without_agreement(self, index: int) -> None:
        """The agreements end, and the acceptance is read before the timer looks at that; they begin again."""
        if (one := self.some(index, lambda one: bool(one.open_offers))) is None:
            return
        yesterday, before = self.now.date() - dt.timedelta(days=1), list(self.agreed.values())
        for known in before:
            begin = min(known.effective_from, yesterday)
            self.agree(replace(known, effective_from=begin, effective_until=yesterday))
        self.accept_of(one.id)
        for known in before:
            self.agree(known)
        self.tick()

    @rule(index=indexes)
    def accept_as_state_body(self, index: int) -> None:
        """ru.two is a state body when its acceptance, or that of its branch, is read, and one no longer."""
        asked = {"ru.two", "ru.three"}
        if (
            one := self.some(index, lambda one: any(o.organization in asked for o in one.open_offers))
        ) is None:
            return
        before = self.kind
        self.change_kind(OrganizationKind.state_body, at_once=False)
        for offer in one.open_offers:
            if offer.organization in asked:
                self.apply(answer_to(offer), one.id, offer.opened_at)
        self.change_kind(before, at_once=True)

    @rule(index=indexes, needs=wanted, urgency=st.sampled_from(Urgency))
    def hand_back_and_refer_onward(self, index: int, needs: tuple[str, ...], urgency: Urgency) -> None:
        """One organisation hands the person back, the next one refers the person onward: not to the first."""
        if (one := self.some(index, lambda one: bool(one.open_offers))) is None:
            return
        self.accept_of(one.id)
        if (acceptor := self.referrals[one.id].acceptor) is None:
            return
        back = HandBackSubmitted(referral_id=one.id, organization=acceptor, reason=HandBackReason.other)
        self.apply(back, one.id)
        self.accept_of(one.id)
        held = [two for two in self.referrals.values() if two.id == one.id and two.acceptor is not None]
        self.refer_onward(self._index_of(held[0]) if held else index, urgency, needs)

    def accept_of(self, referral_id: str) -> None:
        """The first organisation that is asked accepts."""
        for offer in self.referrals[referral_id].open_offers[:1]:
            self.apply(answer_to(offer), referral_id, offer.opened_at)

    def _index_of(self, referral: Referral) -> int:
        held = [one.id for one in self.referrals.values() if one.acceptor is not None]
        return held.index(referral.id)

    @rule(
        urgency=st.sampled_from(Urgency),
        needs=wanted,
        excluded=st.sampled_from([None, *NAMES]),
        opted=st.booleans(),
        by=st.sampled_from([SENDER, OTHER]),
    )
    def submit_with_choices(
        self, urgency: Urgency, needs: tuple[str, ...], excluded: str | None, opted: bool, by: str
    ) -> None:
        referral_id = self.new_id()
        chosen = consent(
            several_organizations=len(needs) > 1,
            excluded_organizations=() if excluded is None else (excluded,),
            opt_in_kinds=(OrganizationKind.state_body,) if opted else (),
        )
        stated = facts(urgency=urgency, needs=needs, consent=chosen)
        self.apply(ReferralSubmitted(referral_id=referral_id, sender=by, facts=stated), referral_id)

    @rule(index=indexes, to=receivers, urgency=st.sampled_from(Urgency))
    def refer_onward_to(self, index: int, to: str, urgency: Urgency) -> None:
        """The acceptor names the next organisation, even one that has had the case."""
        if (one := self.some(index, lambda one: one.acceptor is not None)) is None:
            return
        assert one.acceptor is not None
        onward = self.new_id()
        stated = facts(urgency=urgency, to=to)
        self.apply(
            ReferralSubmitted(referral_id=onward, sender=one.acceptor, facts=stated, onward_from=one.id),
            onward,
        )

    @rule(index=indexes, hours=moments, act=st.sampled_from(CoordinatorAct))
    def act_on_what_was_seen(self, index: int, hours: int, act: CoordinatorAct) -> None:
        """A coordinator's act that is read after an acceptance takes nothing from the acceptor."""
        if (one := self.some(index, lambda one: bool(one.open_offers))) is None:
            return
        seen = one.open_offers
        # The act was tried on the offers.
        latest = seen[0].opened_at + self.policy.longest_answer(one.facts.urgency)
        until = min(latest, self.now + dt.timedelta(hours=hours))
        self.apply(answer_to(seen[0]), one.id, seen[0].opened_at)
        before = self.referrals[one.id]
        self.apply(
            InterventionSubmitted(
                referral_id=one.id,
                organization=None,
                coordinator="kg.desk",
                act=act,
                reason=InterventionReason.no_answer,
                until=until if act is CoordinatorAct.extend else None,
                offers=tuple(offer.id for offer in seen),
            ),
            one.id,
        )
        if before.acceptor is not None and before.overdue_since is None:
            after = self.referrals[one.id]
            assert after.acceptor == before.acceptor, "an act took it from an acceptor in time"
            assert after.due_at == before.due_at, "an act on an offer moved the acceptor's report"

    def tick(self) -> None:
        """Do also what routing's timer does about approvals and agreements."""
        if self.reviewed is not None and self.reviewed[0] != self.now.date():
            self._concerned(self.directory.parties_concerned_between(self.reviewed[0], self.now.date()))
        for referral_id in list(self.referrals):
            for step in (revoke_unapproved, revoke_without_agreement, revoke_without_consent):
                self.take(step(self.referrals[referral_id], self.context()))
        super().tick()

    # Checks of each transition

    def take(self, step: Transition) -> None:
        after = step.referral
        assert after is not None
        before = self.referrals.get(after.id)
        for decision in step.decisions:
            self._is_made_again(decision, after)
        for fact in step.facts:
            match fact:
                case OfferAccepted():
                    offer = after.offer(fact.offer_id)
                    assert offer is not None
                    assert self.directory.in_good_standing(fact.organization)
                    assert has_agreement(after, offer, self.directory, self.now.date())
                    assert is_approved(offer, self.given(after))
                    assert has_consent(after, offer, self.directory)
                case ReferralUnplaced() | ReferralOverdue():
                    self.alerts[after.id].add(fact.type)
        for closed in closed_alerts(before, after, None):
            assert isinstance(closed, AlertClosed)
            assert closed.message_type in self.alerts[after.id], f"{closed.message_type} was not open"
            self.alerts[after.id].discard(closed.message_type)
        if after.is_closed:
            self.alerts[after.id].clear()
        super().take(step)

    def _is_made_again(self, decision: Decision, referral: Referral) -> None:
        """The decision follows from its record, the directory and the policy alone."""
        record = dump(decision)
        stored: Mapping[str, Any] = orjson.loads(record)
        again = made_again(
            stored,
            sender=referral.sender,
            facts=referral.facts,
            policy=self.policy,
            directory=self.directory,
        )
        assert dump(again) == record

    # Invariants

    @invariant()
    def alerts_are_those_of_the_queues(self) -> None:
        for one in self.referrals.values():
            unplaced = ReferralUnplaced.type in self.alerts[one.id]
            assert unplaced == is_in_queue(one, QueueKind.unplaced, self.now)
            overdue = ReferralOverdue.type in self.alerts[one.id]
            assert overdue == (one.status in HELD and is_in_queue(one, QueueKind.overdue, self.now))

    @invariant()
    def every_open_referral_has_somebody_to_act(self) -> None:
        """It has an open offer, a report that is due, or a place in a coordinators' queue."""
        for one in self.referrals.values():
            if one.is_closed or one.status is ReferralStatus.split:
                continue
            kinds = [kind for kind in QueueKind if is_in_queue(one, kind, self.now)]
            is_due = one.status in HELD and one.due_at is not None
            assert kinds or one.open_offers or is_due, f"{one.id} is {one.status} and nobody acts"


@pytest.mark.parametrize("quarter", quarters_of(TrustWalk))
def test_network_of_agreements_keeps_its_invariants(quarter: type[TrustWalk]) -> None:
    run_state_machine_as_test(quarter, settings=WALKS)
