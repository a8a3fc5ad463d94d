"""The decisions about the last referrals, made again under another policy before that is applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.codes import Urgency
from services.routing.domain.decision import Trigger
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_effect import PolicyEffect, effect_of
from services.routing.domain.recomputation import NotReproducible
from services.routing.domain.stored_decision import DecisionSources, StoredDecision


@dataclass(kw_only=True, slots=True)
class Moved:
    """A referral that would have gone elsewhere. effects: of each decision that would have asked others."""

    urgency: Urgency
    needs: tuple[str, ...]
    region: str
    effects: list[PolicyEffect] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class LeftOut:
    """Referrals with a decision that could not be made again. code: the kind of reason."""

    code: str
    referrals: set[str] = field(default_factory=set)


@dataclass(kw_only=True, slots=True)
class Simulation:
    """referrals: those that were decided again. elsewhere: those of them that would have gone elsewhere.

    moved: the same by id with their effects, as far as the simulation keeps them. unlisted: how many further
    decisions would have asked others. left_out: by reason. directory_changed: referrals with a decision
    that would ask other organisations even under the policy of that time, because the directory has changed.
    """

    referrals: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    moved: dict[str, Moved] = field(default_factory=dict)
    unlisted: int = 0
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    directory_changed: set[str] = field(default_factory=set)

    def leave_out(self, referral_id: str, code: str, reason: str) -> None:
        """Count a referral whose decisions are not all made again. reason: a phrase."""
        self.left_out.setdefault(reason, LeftOut(code=code)).referrals.add(referral_id)


def simulate(
    decisions: Iterable[StoredDecision],
    sources: DecisionSources,
    policy: RoutingPolicy,
    result: Simulation,
    *,
    most_effects: int | None = None,
) -> Simulation:
    """Make each decision again, and return the result with what would change.

    A later decision about a referral follows the actual offers and answers, and later referrals see the
    observations that the policy of their time led to. So the simulation shows what each decision would have
    done, and not the consequences of one for the next. most_effects: how many of them the result keeps.
    """
    listed = 0
    for decision in decisions:
        referral = decision.referral_id
        try:
            before, after = sources.again(decision), sources.again(decision, policy)
            facts, then = sources.facts_of(decision), sources.policy_of(decision)
            asked = decision.ranked()
        except NotReproducible as reason:
            result.leave_out(referral, reason.code, str(reason))
            continue
        result.referrals.add(referral)
        if before.trigger is Trigger.submitted:
            at_once = then.offers_at_once(facts.urgency), policy.offers_at_once(facts.urgency)
        else:
            # One that opened none, such as a retry without effect, might have asked the next organisation.
            at_once = (decision.opened or 1,) * 2
        first = [one.organization for one in before.ranked[: at_once[0]]]
        if first != asked[: at_once[0]]:
            result.directory_changed.add(referral)
        effect = effect_of(before, after, at_once=at_once)
        if effect is None:
            continue
        result.elsewhere.add(referral)
        if most_effects is not None and listed >= most_effects:
            result.unlisted += 1
            continue
        listed += 1
        moved = result.moved.setdefault(
            referral, Moved(urgency=facts.urgency, needs=facts.needs, region=facts.region)
        )
        moved.effects.append(effect)
    return result
