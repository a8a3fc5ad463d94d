"""The preview of a referral as text."""

from __future__ import annotations

from collections.abc import Mapping

from kopuro_client.commands.output import Output
from kopuro_client.records import Preview

_WITHHELD = "unknown: too few earlier referrals"


def show_preview(out: Output, found: Preview) -> None:
    """Print the preview: the candidates, the experience, and what would change their number."""
    if out.as_json:
        out.document(found)
        return
    out.fields(
        (
            ("organisations that could be asked now", found["candidates"]),
            ("half of such referrals are answered within", _time(found["half_answered_seconds"])),
            ("such referrals that found nobody at some time", _share(found["found_nobody"])),
        )
    )
    if parts := found.get("parts"):
        out.blank()
        out.table(
            ("needs that one organisation could take", "organisations"),
            ((" ".join(part["needs"]), part["candidates"]) for part in parts),
        )
    if found.get("would_split"):
        out.text("The hub would split the referral into these parts.")
    _show_changes(out, "more with one more language", found["more_by_language"])
    _show_changes(out, "more in another region", found["more_by_region"])
    _show_changes(out, "only because of this opt-in", found["only_by_kind"])


def _show_changes(out: Output, what: str, bands: Mapping[str, str]) -> None:
    if bands:
        out.blank()
        out.table((what, "organisations"), bands.items())


def _time(seconds: int | None) -> str:
    if seconds is None:
        return "unknown: too few answers"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02} min"


def _share(share: float | None) -> str:
    return _WITHHELD if share is None else f"{share:.0%}"
