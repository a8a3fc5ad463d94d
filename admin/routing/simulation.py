"""`--simulate`: the decisions about the last referrals, made again under another policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from admin.routing.stored import Stored
from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.counts import count
from kopuro_client.commands.decision_sentences import TRIGGERS, criterion, phrase
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.sentence_lines import show_wrapped
from services.routing.domain.decision import Trigger
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_effect import First, PolicyEffect, Why, effect_of
from services.routing.domain.recomputation import NotReproducible
from services.routing.domain.report_words import RULES


@dataclass(kw_only=True, slots=True)
class Moved:
    """A referral that would have gone elsewhere. effects: of each decision that would have asked others."""

    urgency: str
    needs: tuple[str, ...]
    region: str
    effects: list[PolicyEffect] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class Simulation:
    """referrals: how many were decided again. moved: those that would have gone elsewhere, by id.

    left_out: reasons, each with the referrals that have a decision that could not be made again.
    """

    referrals: set[str] = field(default_factory=set)
    moved: dict[str, Moved] = field(default_factory=dict)
    left_out: dict[str, set[str]] = field(default_factory=dict)


def simulate(stored: Stored, policy: RoutingPolicy, last: int) -> Simulation:
    """Make each decision about the last referrals again, with the directory and observations of its time.

    A later decision about a referral follows the offers and answers that there were, and later referrals see
    the observations that the policy of their time led to: the simulation shows what each decision would have
    done, not the consequences of one for the next.
    """
    result = Simulation()
    for decision in stored.decisions_of_last(last):
        referral = str(decision.values.get("referral_id"))
        try:
            before, after = stored.again(decision), stored.again(decision, policy)
            facts, then = stored.facts_of(decision), stored.policy_of(decision)
        except NotReproducible as reason:
            result.left_out.setdefault(str(reason), set()).add(referral)
            continue
        result.referrals.add(referral)
        if before.trigger is Trigger.submitted:
            at_once = then.offers_at_once(facts.urgency), policy.offers_at_once(facts.urgency)
        else:
            # One that opened none, such as a retry without effect, might have asked the next organisation.
            at_once = (decision.opened or 1,) * 2
        effect = effect_of(before, after, at_once=at_once)
        if effect is not None:
            moved = result.moved.setdefault(
                referral, Moved(urgency=facts.urgency.value, needs=facts.needs, region=facts.region)
            )
            moved.effects.append(effect)
    return result


def report(result: Simulation, out: Output) -> None:
    """Print which referrals would have gone elsewhere, at which decision, and why."""
    for referral, moved in result.moved.items():
        about = [
            in_words(name, value, "en")
            for name, value in (
                ("urgency", moved.urgency),
                ("needs", list(moved.needs)),
                ("region", moved.region),
            )
        ]
        show_wrapped(out, f"{referral}: {'; '.join(about)}", following="    ")
        for effect in moved.effects:
            _show_effect(out, effect)
    number = len(result.moved)
    out.text(f"{number} of {count(len(result.referrals), 'referral')} would have gone elsewhere")
    for reason, referrals in result.left_out.items():
        out.note(f"{count(len(referrals), 'referral')} left out: {reason}")


def _show_effect(out: Output, effect: PolicyEffect) -> None:
    trigger = TRIGGERS.get(effect.trigger)
    when = effect.trigger if trigger is None else trigger[LANGUAGES.index("en")]
    asked = f"{_names(effect.before)} -> {_names(effect.after)}"
    show_wrapped(out, f"when {when}: {asked}", first="  ", following="      ")
    for name, first in zip(("before", "after"), effect.firsts, strict=True):
        show_wrapped(out, f"{name}: {_turn(first)}", first="    ", following="      ")
    for one in effect.standings:
        changed = sorted(one.shares.items(), key=lambda item: -abs(item[1][1] - item[1][0]))
        why = [f"{criterion(name, 'en')} {old:.3f} -> {new:.3f}" for name, (old, new) in changed]
        why += [f"now excluded: {_rule(rule)}" for rule in one.failures]
        standing = (
            f"{one.organization}, service {one.service}: rank {_change(one.ranks)}, "
            f"score {_change(one.scores)}" + (f" ({', '.join(why)})" if why else "")
        )
        show_wrapped(out, standing, first="    ", following="      ")


def as_document(result: Simulation) -> dict[str, object]:
    """Return the simulation as JSON values: an item of `elsewhere` for each decision that would change."""
    return {
        "referrals": len(result.referrals),
        "elsewhere": [asdict(effect) for moved in result.moved.values() for effect in moved.effects],
        "left_out": {reason: len(referrals) for reason, referrals in result.left_out.items()},
    }


def _rule(name: str) -> str:
    """Return in words why a rule excludes; the rule if it is unknown here."""
    texts = RULES.get(name)
    return name if texts is None else texts[LANGUAGES.index("en")]


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
