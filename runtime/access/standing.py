"""Organisations that may not use the hub: suspended, inactive, or no longer members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from contracts.errors import Refused
from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import read
from runtime.messaging.replica import ReplicaRecord

# Returns whether the organisation with that id is excluded.
IsExcluded = Callable[[str], bool]

# An operator who suspends its own organisation must be able to lift the suspension.
_EXEMPT_ROLE: Final = "operator"
EXCLUDED: Final = "Your organisation is suspended, inactive, or no longer a member of the network."


class ExcludedOrganizations:
    """The excluded organisations, in memory. Pass `absorb` to a replica of the directory.

    An unknown organisation is not excluded: the replica may be older than its record. Its token is refused
    anyway until the replica has its client.
    """

    def __init__(self) -> None:
        self._excluded: set[str] = set()

    def __call__(self, organization: str) -> bool:
        """Return whether the organisation is excluded."""
        return organization in self._excluded

    def absorb(self, records: Sequence[ReplicaRecord]) -> bool:
        """Apply new and changed organisations; return whether one of them became excluded."""
        added = False
        for record in records:
            if record.type != OrganizationChanged.type:
                continue
            if read(Organization, record.data["organization"]).is_excluded:
                added = added or record.key not in self._excluded
                self._excluded.add(record.key)
            else:
                self._excluded.discard(record.key)
        return added


def exempt_from_exclusion(roles: frozenset[str]) -> bool:
    """Return whether a principal with these roles may call the hub although its organisation is excluded."""
    return _EXEMPT_ROLE in roles


def excluded_refusal() -> Refused:
    """Return the refusal of a request by an excluded organisation."""
    return Refused("forbidden", EXCLUDED)
