"""Which organisations may no longer read cases, in memory, as the replica of the directory tells them."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import read
from runtime.messaging.replica import ReplicaRecord


class StandingsInMemory:
    """Give `absorb` to a replica."""

    def __init__(self) -> None:
        self._barred: set[str] = set()

    def is_barred(self, organization: str) -> bool:
        """Whether the directory says that it is suspended, has left, is inactive or was never vetted.

        An organisation that the replica does not know is not barred: it may be newer than the copy, and no
        case is ever released to it unless it was in good standing when it accepted.
        """
        return organization in self._barred

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Takes over records that are new or have changed."""
        for record in records:
            if record.type != OrganizationChanged.type:
                continue
            if read(Organization, record.data["organization"]).in_good_standing:
                self._barred.discard(record.key)
            else:
                self._barred.add(record.key)
