"""`--simulate`: the last referrals' first decisions, made again under another policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from admin.routing.stored import Stored
from kopuro_client.commands.counts import count
from kopuro_client.commands.decision_sentences import criterion, phrase
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.sentence_lines import show_wrapped
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_effect import First, PolicyEffect, Why, effect_of
from services.routing.domain.recomputation import NotReproducible


@dataclass(kw_only=True, slots=True)
class Simulation:
    """referrals: how many were decided again. effects: those that would have gone elsewhere.

    left_out: reasons, with the number of referrals that could not be decided again.
    """

    referrals: int = 0
    effects: list[PolicyEffect] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def simulate(stored: Stored, policy: RoutingPolicy, last: int) -> Simulation:
    """Decide the last referrals again, each with the directory and observations of its time.

    Later referrals see the observations that the policy of their time led to, not those of the new one: the
    simulation shows first decisions, not their consequences for each other.
    """
    result = Simulation()
    for decision in stored.first_decisions(last):
        try:
            before, after = stored.again(decision), stored.again(decision, policy)
            policies = (stored.policy_of(decision), policy)
            urgency = stored.urgency_of(decision)
        except NotReproducible as reason:
            result.left_out[str(reason)] += 1
            continue
        result.referrals += 1
        effect = effect_of(before, after, policies=policies, urgency=urgency)
        if effect is not None:
            result.effects.append(effect)
    return result


def report(result: Simulation, out: Output) -> None:
    """Print which referrals would have gone elsewhere, and why."""
    for effect in result.effects:
        moved = f"{effect.referral_id}: {_names(effect.before)} -> {_names(effect.after)}"
        show_wrapped(out, moved, following="    ")
        for when, first in zip(("before", "after"), effect.firsts, strict=True):
            show_wrapped(out, f"{when}: {_turn(first)}", first="  ", following="      ")
        for one in effect.standings:
            changed = sorted(one.shares.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
            why = [f"{criterion(name, 'en')} {old:.3f} -> {new:.3f}" for name, (old, new) in changed]
            why += [f"now excluded by {rule}" for rule in one.failures]
            standing = (
                f"{one.organization}, service {one.service}: rank {_change(one.ranks)}, "
                f"score {_change(one.scores)}" + (f" ({', '.join(why)})" if why else "")
            )
            show_wrapped(out, standing, first="  ", following="      ")
    out.text(f"{len(result.effects)} of {count(result.referrals, 'referral')} would have gone elsewhere")
    for reason, number in result.left_out.items():
        out.note(f"{count(number, 'referral')} left out: {reason}")


def as_document(result: Simulation) -> dict[str, object]:
    """Return the simulation as JSON values."""
    return {
        "referrals": result.referrals,
        "elsewhere": [asdict(effect) for effect in result.effects],
        "left_out": dict(result.left_out),
    }


def _names(organizations: Sequence[str]) -> str:
    return ", ".join(organizations) or "nobody"


def _turn(first: First | None) -> str:
    """Return whose turn it is, in the words of an explanation."""
    if first is None:
        return "no organisation may be asked."
    values: dict[str, object] = {"organization": first.organization, "equals": first.equals}
    if first.why is not Why.turn:
        return phrase(first.why.value, "en", **values)
    if first.last_asked is None:
        return phrase("turn_never", "en", **values)
    return phrase("turn", "en", **values, time=moment(first.last_asked))


def _change(values: tuple[float | None, float | None]) -> str:
    return " -> ".join("none" if value is None else f"{value:g}" for value in values)
