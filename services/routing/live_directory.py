"""What a routing process keeps in memory of the network: the directory's replica, and what was observed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from contracts.facts import AgreementChanged, OrganizationChanged
from contracts.organization import Agreement, Organization
from contracts.records import read
from runtime.messaging.replica import ReplicaRecord
from services.routing.domain.directory import Directory
from services.routing.domain.observation import NOTHING_OBSERVED, Observation


class LiveDirectory:
    """Changed by the replica's view and by batches, read by every decision; never while it waits.

    What was observed is what the database holds, as far as it was recalled, and what transactions have seen
    that may still be under way. Whether such a one was committed is not asked: when it has ended, what the
    database holds is recalled in its place.
    """

    def __init__(self) -> None:
        self.directory = Directory()
        self._recalled: dict[str, Observation] = {}
        self._unsettled: list[tuple[Connection, Mapping[str, Observation]]] = []
        self._settling = threading.Lock()

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Takes over the directory's records that are new or have changed."""
        for record in records:
            if record.type == OrganizationChanged.type:
                self.directory.put_organization(read(Organization, record.data["organization"]))
            elif record.type == AgreementChanged.type:
                self.directory.put_agreement(read(Agreement, record.data["agreement"]))
            self.directory.version = record.change

    def observed(self, organization: str) -> Observation:
        """What has been seen of an organisation so far, by transactions that may still fail too."""
        seen = self._recalled.get(organization, NOTHING_OBSERVED)
        for _, changes in self._unsettled:
            if organization in changes:
                seen = seen.plus(changes[organization])
        return seen

    def observe(self, transaction: Connection, changes: Mapping[str, Observation]) -> None:
        """Adds to what has been seen, until the transaction has ended and is settled."""
        self._unsettled.append((transaction, changes))

    def recall(self, observed: Mapping[str, Observation]) -> None:
        """Takes over what the database holds of these organisations."""
        self._recalled.update(observed)

    @contextmanager
    def settling(self) -> Iterator[set[str]]:
        """The organisations to be recalled within: those that transactions which have ended saw something of.

        One at a time, so that what was read first is never recalled last.
        """
        with self._settling:
            ended = [one for one in self._unsettled if one[0].closed]
            yield {organization for _, changes in ended for organization in changes}
            for one in ended:
                self._unsettled.remove(one)
