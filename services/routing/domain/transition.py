"""A referral's transition: its inputs and its result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from contracts.facts import Fact, ReferralReferredOnward
from contracts.quick_init import quick_init
from services.routing.domain.decision import Decision, Trigger
from services.routing.domain.late_answer import LateAnswer
from services.routing.domain.observation import Observation
from services.routing.domain.offer import Offer
from services.routing.domain.parts import Part
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral


class Decide(Protocol):
    """A function that ranks the candidates for a referral."""

    def __call__(
        self, referral: Referral, trigger: Trigger, placed_with: str | None = None, /
    ) -> Decision: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TransitionContext:
    """The inputs of a transition: time, new ids, policy, matching, standing, approvals and agreements."""

    now: dt.datetime
    new_id: Callable[[], str]
    policy: RoutingPolicy
    decide: Decide
    # Whether an organisation is active and vetted.
    in_good_standing: Callable[[str], bool]
    # Whether an organisation can submit by itself: it is in good standing and has a live client.
    can_submit: Callable[[str], bool]
    # Whether the network still approves the offer's holder for the referral's sensitive needs.
    is_approved: Callable[[Referral, Offer], bool]
    # Whether agreements still let the sender disclose the referral to the offer's holder.
    has_agreement: Callable[[Referral, Offer], bool]
    # Whether the person's consent still covers the offer's holder.
    has_consent: Callable[[Referral, Offer], bool]
    # Another referral by its id as it is now, None if unknown. The ones that the given facts refer onward are
    # known, and those that a split has linked with the given referrals.
    referral: Callable[[str], Referral | None] = lambda _: None
    # By how many referrals an organisation has referred another referral onward. Known of the same ones.
    onward: Callable[[str, str], int] = lambda _referral, _organization: 0
    # The fewest parts of a referral's needs that one organisation each could take now (`parts.parts_of`).
    parts: Callable[[Referral], tuple[Part, ...]] = lambda _: ()


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """The referral after an event, with the resulting facts, decisions and observation changes.

    observed: the changes apart from the load, which follows from the referral (`load_between`). noted: the
    event enters the referral's timeline although nothing else changes, or although the event is about a
    referral that is linked with this one. about_others: facts about other
    referrals, which they report without changing them. linked: the transitions of the referrals that a split
    has linked with this one, in their order. Each is computed when those before it have been taken. late: an
    answer that was refused because it came too late.
    """

    referral: Referral | None
    facts: tuple[Fact, ...] = ()
    decisions: tuple[Decision, ...] = ()
    observed: Mapping[str, Observation] = field(default_factory=dict)
    noted: bool = False
    about_others: tuple[ReferralReferredOnward, ...] = ()
    linked: tuple[Linked, ...] = ()
    late: LateAnswer | None = None


# The transition of a linked referral; None if nothing changes.
Linked = Callable[[], Transition | None]
