"""Permissions to change an organisation's record."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from typing import Final

from contracts.codes import Vetting
from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from services.directory.domain.entry import DirectoryEntry, Standing

# Fields that the network states about an organisation: vetting, kind (consent forbids some kinds), parent
# and country (where a case may be stored).
KEPT_BY_OPERATORS: Final = ("kind", "country", "parent", "vetting", "vetted_by", "vetted_on")
# Fields that no record may change: they have resources of their own, with proof or approval.
KEPT_BY_DIRECTORY: Final = ("sealing_key", "sealing_key_change", "approved_services")


@dataclass(frozen=True, kw_only=True, slots=True)
class Editor:
    """The principal that requests a change, with its client. id: of an organisation or a person."""

    id: str
    operator: bool
    client_id: str = ""


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
        raise _forbidden(
            "Only an operator may change these fields.", touched, "Only operators may change this."
        )


def with_kept_members(
    present: Standing[Organization] | None, wanted: Organization, named: Collection[str]
) -> Organization:
    """Return the record with the directory's members as they are, unless the request names them.

    A new record may bring its first sealing key. Raises Refused `forbidden` with a pointer for each member
    that the request would change.
    """
    if present is None:
        touched = [name for name in KEPT_BY_DIRECTORY[1:] if getattr(wanted, name)]
    else:
        omitted = {name: getattr(present.entry, name) for name in KEPT_BY_DIRECTORY if name not in named}
        wanted = replace(wanted, **omitted)
        touched = [
            name for name in KEPT_BY_DIRECTORY if getattr(present.entry, name) != getattr(wanted, name)
        ]
    if touched:
        raise _forbidden(
            "These fields cannot be changed in a record. A sealing key is replaced with POST /v1/keys.",
            touched,
            "Only the directory writes this.",
        )
    return wanted


def _forbidden(sentence: str, fields: Iterable[str], detail: str) -> Refused:
    errors = [PointerError(pointer=f"/{field}", detail=detail) for field in fields]
    return Refused("forbidden", sentence, errors=errors)


def needs_second_person(present: Organization | None, wanted: Organization, *, by_operator: bool) -> bool:
    """Return whether a change needs a second person.

    It does if it vouches for the organisation: if the organisation is or becomes vetted, is readmitted, gets
    another kind, country or parent, or brings a key. So does an operator's change of the services by which a
    vetted organisation is asked. The organisation itself may change its services alone.

    Suspending and excluding an organisation needs one person only, because it protects.
    """
    if present is None:
        return wanted.vetting is Vetting.vetted or wanted.sealing_key is not None
    if present.is_excluded and not wanted.is_excluded:
        return True
    # Routing follows kind, country and parent whatever the vetting: a consulate's branch stays one.
    if any(getattr(present, name) != getattr(wanted, name) for name in ("kind", "country", "parent")):
        return True
    if by_operator and wanted.in_good_standing and present.services != wanted.services:
        return True
    vouched = any(getattr(present, name) != getattr(wanted, name) for name in KEPT_BY_OPERATORS)
    return wanted.vetting is Vetting.vetted and vouched


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
