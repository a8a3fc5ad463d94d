"""Who may change what of an organisation's record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Final

from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from services.directory.domain.entry import DirectoryEntry, Standing

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


def refuse_left_out(present: DirectoryEntry, wanted: DirectoryEntry, named: Collection[str]) -> None:
    """A replacement must name every member that it changes.

    named: the members that the request holds. Raises Refused `invalid-submission` with a pointer for each
    member that was left out and would fall back to its default: a key that is lost so excludes its owner.
    """
    lost = [
        field.name
        for field in fields(present)
        if field.name not in named and getattr(present, field.name) != getattr(wanted, field.name)
    ]
    if lost:
        raise Refused(
            "invalid-submission",
            "The record would lose what was left out. Send all of it, or change a part of it with PATCH.",
            errors=[
                PointerError(pointer=f"/{name}", detail="Left out. To clear it, send it empty.")
                for name in lost
            ],
        )
