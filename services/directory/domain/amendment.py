"""Who may change what of an organisation's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from services.directory.domain.entry import Standing

# What the network says about an organisation, and the organisation cannot say about itself: that it was
# vetted and by whom, what it is (consent forbids some kinds), whose part it is, where a case may be kept.
KEPT_BY_OPERATORS: Final = ("kind", "country", "parent", "vetting", "vetted_by", "vetted_on")


@dataclass(frozen=True, kw_only=True, slots=True)
class Editor:
    """Who asks for a change. id: of an organisation or a person."""

    id: str
    operator: bool


def permit_amendment(editor: Editor, present: Standing[Organization] | None, wanted: Organization) -> None:
    """Raises Refused `forbidden`, with a pointer for each field that is not the editor's to change."""
    if editor.operator:
        return
    if wanted.id != editor.id:
        raise Refused("forbidden", "An organisation may change its own record only.")
    if present is None:
        raise Refused(
            "forbidden", "An operator enters an organisation; from then on it keeps its own record."
        )
    touched = [
        field for field in KEPT_BY_OPERATORS if getattr(present.entry, field) != getattr(wanted, field)
    ]
    if touched:
        raise Refused(
            "forbidden",
            "Only an operator may change what the network says about an organisation.",
            errors=[PointerError(pointer=f"/{field}", detail="Kept by operators.") for field in touched],
        )


def check_expected(present: Standing[Organization] | None, expected: int | None) -> None:
    """Raises Refused `conflict` unless the record stands at the revision that the editor saw.

    expected: None when the editor does not say, 0 when there should be no record yet.
    """
    stands_at = 0 if present is None else present.revision
    if expected is not None and expected != stands_at:
        raise Refused("conflict", f"The record stands at revision {stands_at}: read it again.")
