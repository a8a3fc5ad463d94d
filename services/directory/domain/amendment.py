"""Permissions to change an organisation's record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Final

from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from services.directory.domain.entry import DirectoryEntry, Standing

# Fields that the network states about an organisation: vetting, kind (consent forbids some kinds), parent
# and country (where a case may be stored), and its approval of services for sensitive needs.
KEPT_BY_OPERATORS: Final = (
    "kind",
    "country",
    "parent",
    "vetting",
    "vetted_by",
    "vetted_on",
    "approved_services",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Editor:
    """The principal that requests a change. id: of an organisation or a person."""

    id: str
    operator: bool


def permit_amendment(editor: Editor, present: Standing[Organization] | None, wanted: Organization) -> None:
    """Check the editor's permission. Raises Refused `forbidden` with a pointer for each field concerned."""
    if editor.operator:
        return
    if wanted.id != editor.id:
        raise Refused("forbidden", "An organisation may change only its own record.")
    if present is None:
        raise Refused("forbidden", "Only an operator may create the record of an organisation.")
    touched = [
        field for field in KEPT_BY_OPERATORS if getattr(present.entry, field) != getattr(wanted, field)
    ]
    if touched:
        raise Refused(
            "forbidden",
            "Only an operator may change these fields.",
            errors=[
                PointerError(pointer=f"/{field}", detail="Only operators may change this.")
                for field in touched
            ],
        )


def refuse_left_out(present: DirectoryEntry, wanted: DirectoryEntry, named: Collection[str]) -> None:
    """Refuse a replacement that changes a member by leaving it out.

    named: the members that the request contains. Raises Refused `invalid-submission` with a pointer for each
    omitted member that would fall back to its default. A sealing key lost this way would exclude its owner.
    """
    lost = [
        field.name
        for field in fields(present)
        if field.name not in named and getattr(present, field.name) != getattr(wanted, field.name)
    ]
    if lost:
        raise Refused(
            "invalid-submission",
            "The record would lose the omitted members. Send the whole record, or use PATCH.",
            errors=[
                PointerError(pointer=f"/{name}", detail="Omitted. To clear it, send it empty.")
                for name in lost
            ],
        )
