"""What an entry refers to in the directory must exist, and a branch must not be above its own parent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from contracts.errors import PointerError, Refused
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization
from services.directory.domain.client import Client, Role
from services.directory.domain.entry import DirectoryEntry

# The organisation of that id, None where there is none.
Lookup = Callable[[str], Organization | None]

_UNKNOWN = "Not an organisation of the directory."


def wrong_references(entry: DirectoryEntry, lookup: Lookup) -> Iterator[PointerError]:
    """Where the entry refers to an organisation that does not exist, or is a branch of itself."""
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
    """Raises Refused `unknown-organization` with a pointer for each wrong reference.

    present: the entry as it stands. What it refers to already is not looked at again: an organisation must
    not be kept from changing its record by a parent that an earlier version let in.
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
        raise Refused("unknown-organization", "The record refers to what is not there.", errors=errors)


def _wrong_parent(organization: Organization, lookup: Lookup) -> str | None:
    above = organization.parent
    seen = {organization.id}
    while above is not None:
        if above in seen:
            return "The organisation would be a branch of itself."
        seen.add(above)
        parent = lookup(above)
        if parent is None:
            # An older record may name a parent that was never entered: that is not this change's fault.
            return _UNKNOWN if above == organization.parent else None
        above = parent.parent
    return None
