"""Routing decisions as sentences: who may be asked in which order and why, and why others are excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kopuro_client.commands.decision_sentences import (
    capacity_of,
    criterion,
    nobody_considered,
    phrase,
    trigger_of,
    why_first,
)
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.rule_sentences import failed_rules
from kopuro_client.commands.sentence_lines import NO_BREAK, show_wrapped
from kopuro_client.records import Candidate, Contribution, Decision, Decisions

# The values that the referral's sender reads as classes: they follow from the referrals of others.
_IN_CLASSES: Final = frozenset({"load", "responsiveness"})
_NOTHING: Final[Mapping[str, str]] = {}


def show_decisions(out: Output, decisions: Decisions, language: str) -> None:
    """Print each decision, oldest first, and a pause in force."""
    parts = decisions.get("parts")
    if parts:
        show_wrapped(out, phrase("split", language, parts=", ".join(parts)))
    if (whole := decisions.get("part_of")) is not None:
        show_wrapped(out, phrase("part_of", language, whole=whole))
    if not decisions["decisions"] and not parts:
        out.note(phrase("no_decision", language))
    for number, decision in enumerate(decisions["decisions"]):
        if number:
            out.blank()
        _show(out, decision, language)
    if (pause := decisions.get("paused")) is not None:
        out.blank()
        until = moment(pause["until"])
        show_wrapped(out, phrase("pause", language, time=until, organization=pause["organization"]))


def _show(out: Output, decision: Decision, language: str) -> None:
    out.heading(phrase("decision", language, time=moment(decision["decided_at"])))
    out.fields(
        [
            (phrase("cause", language), trigger_of(decision, language)),
            (phrase("policy", language), decision["policy_version"]),
            (phrase("directory", language), decision["directory_version"]),
        ]
    )
    eligible = sorted((c for c in decision["candidates"] if c["eligible"]), key=_by_rank)
    out.blank()
    if not decision["candidates"]:
        show_wrapped(out, nobody_considered(decision.get("nobody"), language))
    elif not eligible:
        show_wrapped(out, phrase("all_excluded", language))
    else:
        _show_order(out, decision, eligible, language)
    show_excluded(out, decision["candidates"], language)


def _show_order(out: Output, decision: Decision, eligible: list[Candidate], language: str) -> None:
    out.text(phrase("order", language))
    for candidate in eligible:
        rank = candidate["rank"]
        parts = [named(candidate, language), capacity_of(candidate, language)]
        parts.append(phrase("score", language, score=_number(candidate["score"])))
        if rank is None:
            parts.append(phrase("second", language))
        show_wrapped(out, "; ".join(filter(None, parts)), first="   " if rank is None else f"{rank}. ")
        show_wrapped(out, " + ".join(_part(one, language) for one in candidate["contributions"]), first="   ")
    if any(candidate["contributions"] for candidate in eligible):
        show_wrapped(out, phrase("score_legend", language))
    if any(part["name"] in _IN_CLASSES for candidate in eligible for part in candidate["contributions"]):
        show_wrapped(out, phrase("classes", language))
    if (why := why_first(decision, eligible, language)) is not None:
        out.blank()
        show_wrapped(out, why)
    asked = [one for one in eligible if one["rank"] is not None]
    if overridden := [one for one in asked if failed_rules(one, language)]:
        out.blank()
        _show_rules(out, phrase("overridden", language), overridden, language)


def show_excluded(
    out: Output,
    candidates: Iterable[Candidate],
    language: str,
    *,
    placeable: Callable[[Candidate], bool] = lambda _: False,
    covered: Mapping[str, str] = _NOTHING,
) -> None:
    """Print each excluded candidate with a sentence for each rule that excludes it.

    placeable: whether to say that a coordinator may ask the candidate nevertheless. covered: by organisation,
    what to say of the needs that it covers.
    """
    if excluded := [one for one in candidates if not one["eligible"]]:
        out.blank()
        _show_rules(
            out,
            phrase("excluded", language),
            excluded,
            language,
            placeable=placeable,
            covered=covered,
        )


def _show_rules(
    out: Output,
    heading: str,
    candidates: Iterable[Candidate],
    language: str,
    *,
    placeable: Callable[[Candidate], bool] = lambda _: False,
    covered: Mapping[str, str] = _NOTHING,
) -> None:
    out.text(heading)
    for candidate in candidates:
        parts = [named(candidate, language)]
        if placeable(candidate):
            parts.append(phrase("may_be_placed", language))
        parts.append(covered.get(candidate["organization"], ""))
        show_wrapped(out, "; ".join(filter(None, parts)), first="- ")
        for sentence in failed_rules(candidate, language):
            show_wrapped(out, sentence, first="    ")


def named(candidate: Candidate, language: str) -> str:
    """Return the candidate's organisation and service."""
    return phrase("service", language, organization=candidate["organization"], service=candidate["service"])


def _by_rank(candidate: Candidate) -> tuple[bool, int]:
    # A service without a rank is another service of a ranked organisation.
    rank = candidate["rank"]
    return rank is None, rank or 0


def _part(part: Contribution, language: str) -> str:
    weight = part.get("weight")
    share = (f"{_number(weight)}×" if weight is not None else "") + _number(part["value"])
    return f"{criterion(part['name'], language)} {share}".replace(" ", NO_BREAK)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
