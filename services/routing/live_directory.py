"""The in-memory state of a routing process: the directory and the observations."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection
from sqlalchemy.engine import Transaction

from contracts.facts import AgreementChanged, Fact, OrganizationChanged
from contracts.organization import Agreement, Organization
from contracts.records import read
from runtime.background import Spawn
from runtime.messaging.replica import ReplicaRecord
from runtime.turn import Turn
from services.routing.domain.directory import Directory, every_search
from services.routing.domain.observation import Observation
from services.routing.domain.observations import Observations, ObservationsThen
from services.routing.domain.observed_record import prepare_record


def directory_entry(fact: Fact) -> Organization | Agreement | None:
    """Return the entry that decisions depend on; None for any other fact."""
    match fact:
        case OrganizationChanged(organization=organization):
            return organization
        case AgreementChanged(agreement=agreement):
            return agreement
    return None


def _approved(organization: Organization) -> tuple[object, ...]:
    """Return what `open_approval.is_approved` reads of the record."""
    return organization.approved_services, [service.id for service in organization.services]


class LiveDirectory:
    """The directory and the observations that every decision reads.

    The replica and the batches change it between decisions, never during one. The observations are those
    last loaded from the database plus the changes of transactions that may still be open. When a transaction
    has ended, committed or not, the database's values are loaded in place of its changes.
    """

    def __init__(self) -> None:
        self.directory = Directory()
        self._is_started = False
        self._stopping = False
        # The observations that were last loaded from the database.
        self._recalled = Observations()
        self._unsettled: list[tuple[Transaction, Mapping[str, Observation]]] = []
        self._settling = threading.Lock()
        # Organisations where a place may have become free since the last `take_changed`.
        self._changed: set[str] = set()
        # Organisations whose records or agreements changed since the last `take_amended`.
        self._amending = threading.Lock()
        self._amended: set[str] = set()
        # Organisations whose approvals may have ended since the last `take_disapproved`.
        self._disapproved: set[str] = set()

    def start(self, spawn: Spawn) -> None:
        """Start to prepare searches and records. Call it after the stored records were absorbed."""
        self._is_started = True
        spawn(self._prepare)

    def stop(self) -> None:
        """Stop to prepare them."""
        self._stopping = True

    def _prepare(self) -> None:
        """Make every search and every observation's record once, so that a first referral finds them too.

        It takes some 0.8 s of CPU for 50,000 services. A search that a change concerns is made again when a
        referral asks for it, and so is the record of an observation that has changed.
        """
        turn = Turn()
        for need, region in every_search():
            if self._stopping:
                return
            self.directory.shortlist_for(need, region)
            turn.end_if_over()
        for seen in self._recalled.all():
            if self._stopping:
                return
            prepare_record(seen)
            turn.end_if_over()

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Apply new and changed directory records.

        Other work runs between two of them: the directory is whole after each. Not before the start: the
        ports may be open while the stored records are absorbed, and a request would find a part of them.
        """
        turn = Turn()
        amended: set[str] = set()
        disapproved: set[str] = set()
        for record in records:
            if record.type == OrganizationChanged.type:
                organization = read(Organization, record.data["organization"])
                before = self.directory.organization(organization.id)
                if before is None or _approved(before) != _approved(organization):
                    disapproved.add(organization.id)
                self.directory.put_organization(organization, record.data["revision"])
                amended.add(organization.id)
            elif record.type == AgreementChanged.type:
                agreement = read(Agreement, record.data["agreement"])
                self.directory.put_agreement(agreement)
                amended.update(agreement.parties)
            self.directory.version = record.change
            if self._is_started:
                turn.end_if_over()
        with self._amending:
            self._amended |= amended
            self._disapproved |= disapproved

    def observed(self, organization: str) -> Observation:
        """Return an organisation's observation, including changes that are not committed yet."""
        return self.observations()(organization)

    def observations(self, *more: Mapping[str, Observation]) -> ObservationsThen:
        """Return the present observations, including changes that are not committed yet.

        more: further changes, which are added as they are now.
        """
        further = [dict(some) for some in more if some]
        return self._recalled.then([*(changes for _, changes in self._unsettled), *further])

    def observe(self, transaction: Connection, changes: Mapping[str, Observation]) -> None:
        """Add the changes of an open transaction."""
        begun = transaction.get_transaction()
        assert begun is not None
        self._unsettled.append((begun, changes))

    def recall(self, observed: Mapping[str, Observation]) -> None:
        """Replace the observations of these organisations by the database's values.

        Call it within `settling`. An organisation whose values differ from the last ones counts as changed:
        another process may have changed them.
        """
        self._changed |= {
            organization for organization, seen in observed.items() if seen != self._recalled.of(organization)
        }
        self._recalled.update(observed)

    @property
    def has_changes(self) -> bool:
        """Whether a call of `take_changed`, `take_amended` or `take_disapproved` may return something.

        Also while a transaction has changed observations and has not been settled.
        """
        return bool(self._changed or self._unsettled or self._amended or self._disapproved)

    def take_changed(self) -> set[str]:
        """Return and forget the organisations whose observations have changed."""
        with self._settling:
            changed, self._changed = self._changed, set()
        return changed

    def give_back(self, changed: Iterable[str]) -> None:
        """Undo `take_changed` for these organisations."""
        with self._settling:
            self._changed |= set(changed)

    def take_amended(self) -> set[str]:
        """Return and forget the organisations whose records or agreements have changed.

        EVERY_VETTED_ORGANIZATION stands for all, when an agreement of all has changed.
        """
        with self._amending:
            amended, self._amended = self._amended, set()
        return amended

    def take_disapproved(self) -> set[str]:
        """Return and forget the organisations whose approvals, or approved services, have changed.

        After the start these are all organisations.
        """
        with self._amending:
            disapproved, self._disapproved = self._disapproved, set()
        return disapproved

    @contextmanager
    def settling(self) -> Iterator[set[str]]:
        """Yield the organisations to recall within the block: those that ended transactions changed.

        One caller at a time, so that an older read never overwrites a newer one.
        """
        with self._settling:
            ended = [one for one in self._unsettled if not one[0].is_active]
            touched = {organization for _, changes in ended for organization in changes}
            # Also if the values stay the same: a rollback frees the places that it had taken.
            self._changed |= touched
            yield touched
            for one in ended:
                self._unsettled.remove(one)
