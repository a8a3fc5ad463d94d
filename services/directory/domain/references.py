"""Referential integrity: referenced organisations must exist, and parents must not form a cycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from contracts.errors import PointerError, Refused
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization
from services.directory.domain.client import Client, Role
from services.directory.domain.entry import DirectoryEntry

# Returns the organisation with that id, or None.
Lookup = Callable[[str], Organization | None]

_UNKNOWN = "The directory has no organisation with this id."


def wrong_references(entry: DirectoryEntry, lookup: Lookup) -> Iterator[PointerError]:
    """Yield each reference to an unknown organisation, and a parent that makes a cycle."""
    if isinstance(entry, Organization):
        if entry.parent is not None and (wrong := _wrong_parent(entry, lookup)):
            yield PointerError(pointer="/parent", detail=wrong)
    elif isinstance(entry, Agreement):
        for index, party in enumerate(entry.parties):
            if party != EVERY_VETTED_ORGANIZATION and lookup(party) is None:
                yield PointerError(pointer=f"/parties/{index}", detail=_UNKNOWN)
    elif isinstance(entry, Client) and Role.partner in entry.roles and lookup(entry.principal) is None:
        yield PointerError(pointer="/principal", detail=_UNKNOWN)


def check_references(present: DirectoryEntry | None, wanted: DirectoryEntry, lookup: Lookup) -> None:
    """Check an entry's new references. Raises Refused `unknown-organization` with pointers.

    present: the current entry. Its existing references are not checked again: a parent that an earlier
    version admitted must not prevent an organisation from changing its record.
    """
    if isinstance(wanted, Organization) and isinstance(present, Organization):
        if wanted.parent == present.parent:
            return
    elif isinstance(wanted, Agreement) and isinstance(present, Agreement):
        wanted = replace(
            wanted,
            parties=tuple(EVERY_VETTED_ORGANIZATION if p in present.parties else p for p in wanted.parties),
        )
    if errors := list(wrong_references(wanted, lookup)):
        raise Refused(
            "unknown-organization",
            "The record names an organisation that the directory does not have, or a parent that is below "
            "the organisation.",
            errors=errors,
        )


def _wrong_parent(organization: Organization, lookup: Lookup) -> str | None:
    above = organization.parent
    chain = [organization.id]
    while above is not None:
        if above in chain:
            cycle = " → ".join((*chain, above)[chain.index(above) :])
            return f"The organisation would be below itself: {cycle}."
        chain.append(above)
        parent = lookup(above)
        if parent is None:
            # An older record may name an unknown parent; this change did not cause that.
            return _UNKNOWN if above == organization.parent else None
        above = parent.parent
    return None
