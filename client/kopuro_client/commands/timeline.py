"""A referral as text: its fields, offers and timeline."""

from __future__ import annotations

from typing import Any

from kopuro_client.commands.code_words import in_words
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.referral_words import field, late_answer, step
from kopuro_client.commands.sentence_lines import show_wrapped
from kopuro_client.records import Referral, TimelineEntry


def show_referral(out: Output, referral: Referral, language: str | None = None) -> None:
    """Print a referral. language: of the names, labels and the timeline; None for codes, as programs use."""

    def named(name: str) -> str:
        return field(name, language or "en")

    def told(name: str, value: object) -> object:
        return value if language is None else in_words(name, value, language)

    facts = referral["facts"] or {}
    out.heading(named("Referral"), referral["id"])
    out.fields(
        [
            (named("status"), told("status", referral["status"])),
            (named("outcome"), told("outcome", referral["outcome"])),
            (named("sender"), referral["sender"]),
            (named("acceptor"), referral["acceptor"]),
            # Missing from older hubs.
            (named("onward from"), referral.get("onward_from")),
            (named("referred onward"), referral.get("onward")),
            (named("part of"), referral.get("part_of")),
            (named("urgency"), told("urgency", facts.get("urgency"))),
            (named("needs"), told("needs", facts.get("needs"))),
            (named("region"), told("region", facts.get("region"))),
            (named("languages"), told("languages", facts.get("languages"))),
            (named("special categories"), told("special_categories", facts.get("special_categories"))),
            (named("submitted"), moment(referral["submitted_at"])),
            (named("updated"), moment(referral["updated_at"])),
        ]
    )
    if parts := referral.get("parts"):
        out.blank()
        out.heading(named("Parts"))
        out.table(
            tuple(map(named, ("needs", "status", "acceptor", "referral"))),
            (
                (
                    " ".join(part["needs"]) if language is None else told("needs", part["needs"]),
                    told("status", part["status"]),
                    part["acceptor"],
                    part["id"],
                )
                for part in parts
            ),
        )
    if referral["offers"]:
        out.blank()
        out.heading(named("Offers"))
        out.table(
            tuple(map(named, ("no.", "organisation", "state", "opened", "deadline", "reason", "offer"))),
            # Numbered here: a rank is within one decision, so the next organisation has rank 1 again.
            (
                (
                    number,
                    offer["organization"],
                    told("state", offer["state"]),
                    moment(offer["opened_at"]),
                    moment(offer["deadline"]),
                    told("reason", offer["reason"]),
                    offer["id"],
                )
                for number, offer in enumerate(referral["offers"], start=1)
            ),
        )
        for offer in referral["offers"]:
            if (late := late_answer(offer, language or "en")) is not None:
                show_wrapped(out, late)
    if referral["timeline"]:
        out.blank()
        out.heading(named("Timeline"))
        for entry in referral["timeline"]:
            show_entry(out, entry, language)


def show_entry(out: Output, entry: TimelineEntry, language: str | None) -> None:
    sentence = None if language is None else step(entry, language)
    if sentence is None:
        detail = _detail(entry["detail"] or {})
        out.entry(moment(entry["time"]), entry["fact"], entry["organization"], detail)
    else:
        show_wrapped(out, sentence, first=f"{moment(entry['time'])}  ", following="    ")


def _detail(detail: dict[str, Any]) -> dict[str, Any]:
    """Return the detail with times to the second, and of a problem only the sentence."""
    shown = {name: moment(one) if isinstance(one, str) else one for name, one in detail.items()}
    problem = shown.pop("problem", None)
    if isinstance(problem, dict):
        shown["refused"] = problem.get("detail") or problem.get("title")
    return shown
