"""A referral as text: its fields, offers and timeline."""

from __future__ import annotations

from typing import Any

from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.commands.referral_words import field, step
from kopuro_client.records import Referral, TimelineEntry


def show_referral(out: Output, referral: Referral, language: str | None = None) -> None:
    """Print a referral. language: of the field names and the timeline; None for the codes of its steps."""

    def named(name: str) -> str:
        return field(name, language or "en")

    facts = referral["facts"] or {}
    out.heading(named("Referral"), referral["id"])
    out.fields(
        [
            (named("status"), referral["status"]),
            (named("outcome"), referral["outcome"]),
            (named("sender"), referral["sender"]),
            (named("acceptor"), referral["acceptor"]),
            # Missing from older hubs.
            (named("onward from"), referral.get("onward_from")),
            (named("referred onward"), referral.get("onward")),
            (named("part of"), referral.get("part_of")),
            (named("urgency"), facts.get("urgency")),
            (named("needs"), facts.get("needs")),
            (named("region"), facts.get("region")),
            (named("languages"), facts.get("languages")),
            (named("special categories"), facts.get("special_categories")),
            (named("submitted"), moment(referral["submitted_at"])),
            (named("updated"), moment(referral["updated_at"])),
        ]
    )
    if parts := referral.get("parts"):
        out.blank()
        out.heading(named("Parts"))
        out.table(
            tuple(map(named, ("needs", "status", "acceptor", "referral"))),
            ((" ".join(part["needs"]), part["status"], part["acceptor"], part["id"]) for part in parts),
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
                    offer["state"],
                    moment(offer["opened_at"]),
                    moment(offer["deadline"]),
                    offer["reason"],
                    offer["id"],
                )
                for number, offer in enumerate(referral["offers"], start=1)
            ),
        )
    if referral["timeline"]:
        out.blank()
        out.heading(named("Timeline"))
        for entry in referral["timeline"]:
            show_entry(out, entry, language)


def show_entry(out: Output, entry: TimelineEntry, language: str | None) -> None:
    detail = _detail(entry["detail"] or {})
    sentence = None if language is None else step(entry["fact"], entry["organization"], language)
    if sentence is None:
        out.entry(moment(entry["time"]), entry["fact"], entry["organization"], detail)
    else:
        out.entry(moment(entry["time"]), sentence, detail)


def _detail(detail: dict[str, Any]) -> dict[str, Any]:
    """Return the detail with times to the second, and of a problem only the sentence."""
    shown = {name: moment(one) if isinstance(one, str) else one for name, one in detail.items()}
    problem = shown.pop("problem", None)
    if isinstance(problem, dict):
        shown["refused"] = problem.get("detail") or problem.get("title")
    return shown
