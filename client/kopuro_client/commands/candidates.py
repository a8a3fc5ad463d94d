"""The candidates of the present moment: who could be asked, and which rules exclude the others."""

from __future__ import annotations

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.covered_needs import covered_needs
from kopuro_client.commands.decision_sentences import capacity_of, nobody_considered, phrase
from kopuro_client.commands.explanation import named, show_excluded
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.queue_words import word
from kopuro_client.commands.rule_sentences import may_be_placed
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.records import Candidate, CandidatesNow, NeedsPart, OpenOffer


def show_candidates(out: Output, found: CandidatesNow, language: str) -> None:
    """Print the candidates that may be asked, then each excluded one with a sentence for each rule."""
    if out.as_json:
        out.document(found)
        return
    out.heading(phrase("candidates", language, time=moment(found["checked_at"])))
    if not found["candidates"]:
        show_wrapped(out, nobody_considered(found["nobody"], language))
    eligible = [candidate for candidate in found["candidates"] if candidate["eligible"]]
    if eligible:
        out.blank()
        out.text(phrase("may_be_asked", language))
    covered = covered_needs(found.get("covers", []), language)
    for one in eligible:
        covers = covered.get(one["organization"])
        parts = (named(one, language), capacity_of(one, language), covers)
        show_wrapped(out, "; ".join(filter(None, parts)), first="- ")
    _show_parts(out, found.get("parts", []), language)
    offers = found.get("open_offers", [])
    _show_asked_now(out, offers, language)
    if (acceptor := found.get("acceptor")) is not None:
        out.blank()
        show_wrapped(out, phrase("accepted_by", language, organization=acceptor))
    asked = {offer["organization"] for offer in offers}
    others = (one for one in found["candidates"] if one["organization"] not in asked)
    show_excluded(out, others, language, placeable=lambda one: _may_be_placed(one, found), covered=covered)
    nobody = found["nobody"]
    if nobody is not None and nobody["elsewhere"]:
        command = f"kopuro organization list --need {nobody['need']}"
        out.note(word("elsewhere", language, command=command))


def _may_be_placed(candidate: Candidate, found: CandidatesNow) -> bool:
    # An older hub does not say whether it would refuse every placement.
    if not found.get("may_be_placed", True) or candidate["organization"] == found.get("acceptor"):
        return False
    return may_be_placed(candidate)


def _show_asked_now(out: Output, offers: list[OpenOffer], language: str) -> None:
    if not offers:
        return
    out.blank()
    out.text(phrase("asked_now", language))
    for offer in offers:
        until = phrase("asked_until", language, time=moment(offer["deadline"]), **offer)
        show_wrapped(out, until, first="- ")


def _show_parts(out: Output, parts: list[NeedsPart], language: str) -> None:
    """Print who could take all needs, or the fewest parts and who could take each."""
    if not parts:
        return
    out.blank()
    out.text(phrase("in_one_part" if len(parts) == 1 else "in_parts", language))
    for part in parts:
        needs = in_words("needs", part["needs"], language)
        organizations = ", ".join(part["organizations"]) or phrase("nobody_takes", language)
        show_wrapped(out, f"{needs}: {organizations}", first="- ")
