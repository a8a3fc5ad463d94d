"""What a routing process keeps in memory of the network: the directory's replica, and what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.facts import AgreementChanged, OrganizationChanged
from contracts.organization import Agreement, Organization
from contracts.records import read
from runtime.messaging.replica import Record
from services.routing.domain.directory import Directory
from services.routing.domain.observation import NOTHING_OBSERVED, Observation


class Network:
    """Changed by the replica's view and after batches, read by every decision; never while it waits."""

    def __init__(self) -> None:
        self.directory = Directory()
        self._observed: dict[str, Observation] = {}

    def absorb(self, records: Sequence[Record]) -> None:
        """Takes over the directory's records that are new or have changed."""
        for record in records:
            if record.type == OrganizationChanged.type:
                self.directory.put_organization(read(Organization, record.data["organization"]))
            elif record.type == AgreementChanged.type:
                self.directory.put_agreement(read(Agreement, record.data["agreement"]))
            self.directory.version = record.change

    def observed(self, organization: str) -> Observation:
        """What has been seen of an organisation so far."""
        return self._observed.get(organization, NOTHING_OBSERVED)

    def observe(self, changes: Mapping[str, Observation]) -> None:
        """Adds to what has been seen. Where its transaction fails, the next `recall` puts it right."""
        for organization, seen in changes.items():
            self._observed[organization] = self.observed(organization).plus(seen)

    def recall(self, observed: Mapping[str, Observation]) -> None:
        """Replaces what is remembered by what the database holds."""
        self._observed = dict(observed)
