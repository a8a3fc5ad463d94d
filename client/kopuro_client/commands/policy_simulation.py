"""`kopuro coordination simulate`: the effect of a policy on the last referrals, before it is applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Final

import typer

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.decision_sentences import TRIGGERS, criterion, phrase
from kopuro_client.commands.input_file import read_json_or_stdin
from kopuro_client.commands.labels import LANGUAGES
from kopuro_client.commands.language import LANGUAGE
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import day_or_moment, one_line
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.commands.session import Session
from kopuro_client.commands.simulation_words import left_out, rule_in_words, word
from kopuro_client.errors import FieldError, RefusedError
from kopuro_client.records import (
    DecisionEffect,
    FirstAsked,
    MovedReferral,
    PolicySimulation,
    SimulatedService,
)

_POLICY: Final = "/policy"


def simulate(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The policy (JSON); - reads stdin.")],
    referrals: Annotated[
        int | None,
        typer.Option(metavar="N", help="How many of the last referrals; by default 500, the most."),
    ] = None,
    language: LANGUAGE = "en",
) -> None:
    """Show which of the last referrals would have gone elsewhere under a policy, and why.

    Changes nothing: an operator applies a policy. The hub makes each decision about the referrals again, with
    the directory of today. A wrong policy is refused with every place in the file.
    """
    try:
        found = session.hub.simulate(read_json_or_stdin(file), referrals=referrals)
    except RefusedError as error:
        raise RefusedError(
            replace(error.problem, errors=tuple(map(_in_the_policy, error.problem.errors)))
        ) from error
    if session.out.as_json:
        session.out.document(found)
        return
    show_moved(session.out, found["items"], language)
    show_total(session.out, found["elsewhere"], found["referrals"], language)
    _show_notes(session.out, found, language)
    session.out.text(word("valid", language, version=found["version"], digest=found["digest"]))


def _in_the_policy(error: FieldError) -> FieldError:
    """Return the error with a pointer into the file, which has the policy only."""
    inside = error.pointer.startswith(f"{_POLICY}/") or error.pointer == _POLICY
    return replace(error, pointer=error.pointer.removeprefix(_POLICY)) if inside else error


def show_moved(out: Output, items: Iterable[MovedReferral], language: str) -> None:
    """Print which referrals would have gone elsewhere, at which decisions, and why."""
    for moved in items:
        about = [
            in_words(name, value, language)
            for name, value in (
                ("urgency", moved["urgency"]),
                ("needs", moved["needs"]),
                ("region", moved["region"]),
            )
        ]
        show_wrapped(out, f"{moved['referral_id']}: {'; '.join(about)}", following="    ")
        for effect in moved["effects"]:
            _show_effect(out, effect, language)


def show_total(out: Output, elsewhere: int, referrals: int, language: str) -> None:
    """Print how many referrals would have gone elsewhere, and of how many."""
    of = f"{referrals:,} {'referral' if referrals == 1 else 'referrals'}" if language == "en" else referrals
    out.text(word("total", language, elsewhere=elsewhere, referrals=of))


def _show_notes(out: Output, found: PolicySimulation, language: str) -> None:
    for name in ("unlisted", "directory_changed"):
        number = found[name]
        if number:
            out.note(word(name, language, count=number))
    for code, number in found["left_out"].items():
        out.note(word("left_out", language, reason=left_out(code, language), count=number))


def _show_effect(out: Output, effect: DecisionEffect, language: str) -> None:
    texts = TRIGGERS.get(effect["trigger"])
    trigger = effect["trigger"] if texts is None else texts[LANGUAGES.index(language)]
    asked = " -> ".join(_names(effect[which], language) for which in ("before", "after"))
    show_wrapped(out, word("when", language, trigger=trigger, asked=asked), first="  ", following="      ")
    for name, first in zip(("before", "after"), effect["firsts"], strict=False):
        text = word(name, language, turn=_turn(first, language))
        show_wrapped(out, text, first="    ", following="      ")
    for one in effect["standings"]:
        show_wrapped(out, _standing(one, language), first="    ", following="      ")


def _standing(one: SimulatedService, language: str) -> str:
    changed = sorted(one["shares"].items(), key=lambda item: -abs(item[1][1] - item[1][0]))
    why = [f"{criterion(name, language)} {old:.3f} -> {new:.3f}" for name, (old, new) in changed]
    why += [word("now_excluded", language, rule=rule_in_words(rule, language)) for rule in one["failures"]]
    text = word(
        "standing",
        language,
        organization=one["organization"],
        service=one["service"],
        ranks=_change(one["ranks"], language),
        scores=_change(one["scores"], language),
    )
    return one_line(text + (f" ({', '.join(why)})" if why else ""))


def _names(organizations: Sequence[str], language: str) -> str:
    return ", ".join(organizations) or phrase("nobody_takes", language)


def _turn(first: FirstAsked | None, language: str) -> str:
    """Return whose turn it is, in the words of an explanation."""
    if first is None:
        return word("no_turn", language)
    values: dict[str, object] = {"organization": first["organization"], "equals": first["equals"]}
    if first["why"] in ("only_one", "best", "chance"):
        return phrase(first["why"], language, **values)
    if first["last_asked"] is None:
        return phrase("turn_never", language, **values)
    return phrase("turn", language, **values, time=day_or_moment(first["last_asked"]))


def _change(values: Sequence[float | None], language: str) -> str:
    return " -> ".join(word("no_value", language) if one is None else f"{one:g}" for one in values)
