"""The candidates of the present moment: who could be asked, and which rules exclude the others."""

from __future__ import annotations

from typing import Annotated

import typer

from kopuro_client.commands.explanation import nobody_considered
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.rule_sentences import LANGUAGES, sentence_of
from kopuro_client.records import Candidate, CandidatesNow


def checked_language(language: str) -> str:
    """Return the language. Raises BadParameter for one without sentences."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"must be one of {', '.join(LANGUAGES)}")
    return language


LANGUAGE = Annotated[
    str, typer.Option(callback=checked_language, help="Language of the rules' sentences: en, ru or ky.")
]


def show_candidates(out: Output, found: CandidatesNow, language: str) -> None:
    """Print the eligible candidates as a table, then each excluded one with a sentence for each rule."""
    if out.as_json:
        out.document(found)
        return
    out.heading("Candidates at", moment(found["checked_at"]))
    if not found["candidates"]:
        out.text(nobody_considered(found["nobody"]))
    eligible = [candidate for candidate in found["candidates"] if candidate["eligible"]]
    if eligible:
        out.table(
            ("may be asked", "service", "capacity"),
            ((one["organization"], one["service"], one.get("capacity")) for one in eligible),
        )
    for candidate in found["candidates"]:
        if not candidate["eligible"]:
            out.blank()
            out.text(f"{candidate['organization']}, service {candidate['service']}: excluded")
            for sentence in failed_rules(candidate, language):
                out.text(f"  - {sentence}")


def failed_rules(candidate: Candidate, language: str) -> list[str]:
    """Return a sentence for each failed rule."""
    return [sentence_of(rule, language) for rule in candidate["rules"] if not rule["passed"]]
