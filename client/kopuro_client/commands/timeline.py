"""A referral as text: its fields, offers and timeline."""

from __future__ import annotations

from typing import Any

from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import moment
from kopuro_client.records import Referral, TimelineEntry


def show_referral(out: Output, referral: Referral) -> None:
    facts = referral["facts"] or {}
    out.heading("Referral", referral["id"])
    out.fields(
        [
            ("status", referral["status"]),
            ("outcome", referral["outcome"]),
            ("sender", referral["sender"]),
            ("acceptor", referral["acceptor"]),
            # Missing from older hubs.
            ("onward from", referral.get("onward_from")),
            ("referred onward", referral.get("onward")),
            ("part of", referral.get("part_of")),
            ("urgency", facts.get("urgency")),
            ("needs", facts.get("needs")),
            ("region", facts.get("region")),
            ("languages", facts.get("languages")),
            ("special categories", facts.get("special_categories")),
            ("submitted", moment(referral["submitted_at"])),
            ("updated", moment(referral["updated_at"])),
        ]
    )
    if parts := referral.get("parts"):
        out.blank()
        out.heading("Parts")
        out.table(
            ("needs", "status", "acceptor", "referral"),
            ((" ".join(part["needs"]), part["status"], part["acceptor"], part["id"]) for part in parts),
        )
    if referral["offers"]:
        out.blank()
        out.heading("Offers")
        out.table(
            ("no.", "organisation", "state", "opened", "deadline", "reason", "offer"),
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
        out.heading("Timeline")
        for entry in referral["timeline"]:
            show_entry(out, entry)


def show_entry(out: Output, entry: TimelineEntry) -> None:
    out.entry(moment(entry["time"]), entry["fact"], entry["organization"], _detail(entry["detail"] or {}))


def _detail(detail: dict[str, Any]) -> dict[str, Any]:
    """Return the detail with times to the second, and of a problem only the sentence."""
    shown = {name: moment(one) if isinstance(one, str) else one for name, one in detail.items()}
    problem = shown.pop("problem", None)
    if isinstance(problem, dict):
        shown["refused"] = problem.get("detail") or problem.get("title")
    return shown
