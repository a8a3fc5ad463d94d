"""Organisations that may not read cases, in memory, from the replica of the directory."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import read
from runtime.messaging.replica import ReplicaRecord


class StandingsInMemory:
    """The barred organisations. Pass `absorb` to a replica."""

    def __init__(self) -> None:
        self._barred: set[str] = set()

    def is_barred(self, organization: str) -> bool:
        """Return whether the organisation is suspended, has left, is inactive or was never vetted.

        An unknown organisation is not barred: it may be newer than the replica, and cases are released only
        to organisations that were in good standing when they accepted.
        """
        return organization in self._barred

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Apply new and changed records."""
        for record in records:
            if record.type != OrganizationChanged.type:
                continue
            if read(Organization, record.data["organization"]).in_good_standing:
                self._barred.discard(record.key)
            else:
                self._barred.add(record.key)
