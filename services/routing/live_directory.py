"""The in-memory state of a routing process: the directory and the observations."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.engine import Transaction

from contracts.facts import AgreementChanged, Fact, OrganizationChanged
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization
from contracts.records import read
from runtime.background import Spawn
from runtime.messaging.replica import ReplicaRecord
from runtime.turn import Turn, in_turns
from services.routing.domain.decision_basis import DecisionBasis
from services.routing.domain.directory import NO_REACH, Directory, Reach, every_search
from services.routing.domain.observation import Observation
from services.routing.domain.observations import Observations, ObservationsThen
from services.routing.domain.observed_record import prepare_record

# The most referrals that are noted as begun to seek; a review finds them if there are more.
MOST_BEGUN_TO_SEEK: Final = 10_000


def directory_entry(fact: Fact) -> Organization | Agreement | None:
    """Return the entry that decisions depend on; None for any other fact."""
    match fact:
        case OrganizationChanged(organization=organization):
            return organization
        case AgreementChanged(agreement=agreement):
            return agreement
    return None


def _entry_of(record: ReplicaRecord) -> Organization | Agreement | None:
    if record.type == OrganizationChanged.type:
        return read(Organization, record.data["organization"])
    if record.type == AgreementChanged.type:
        return read(Agreement, record.data["agreement"])
    return None


def _add_reach(amended: dict[str, Reach], organization: str, reach: Reach) -> None:
    amended[organization] = amended.get(organization, NO_REACH).plus(reach)


def _approved(organization: Organization) -> tuple[object, ...]:
    """Return what `open_approval.is_approved` reads of the record."""
    return organization.approved_services, [service.id for service in organization.services]


def _seen_by_consent(organization: Organization) -> tuple[object, ...]:
    """Return what `open_consent.has_consent` reads of the record."""
    return organization.kind, organization.country, organization.parent


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
        # Organisations whose records or agreements changed since the last `take_amended`, with what their
        # services covered before.
        self._amending = threading.Lock()
        self._amended: dict[str, Reach] = {}
        # Organisations that a change may have left with offers that are not covered, until `take_affected`.
        self._affected: set[str] = set()
        # Referrals that have begun to seek since the last `take_begun_to_seek`.
        self._begun_to_seek: dict[str, DecisionBasis] = {}

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

        Other work runs between two of them, unless the replica has left out a change before the second one:
        a later change of the same record has replaced it. The directory has the state of no version then
        until that one is applied, and a decision could not be made again from what it records. Before the
        start no other work runs: the ports may be open while the stored records are absorbed, and a request
        would find a part of them.
        """
        amended: dict[str, Reach] = {}
        affected: set[str] = set()
        in_order = in_turns(records) if self._is_started else records
        entries = [(record, _entry_of(record)) for record in in_order]
        turn, gives_way = Turn(), self._is_started
        for record, entry in entries:
            if gives_way:
                turn.end_if_over()
            if isinstance(entry, Organization):
                before = self.directory.organization(entry.id)
                if before is None or _approved(before) != _approved(entry):
                    affected.add(entry.id)
                reach = NO_REACH if before is None else self.directory.reach_of(entry.id)
                self.directory.put_organization(entry, record.data["revision"])
                # Also of a new record: a branch may have named it as its parent before.
                if before is None or _seen_by_consent(before) != _seen_by_consent(entry):
                    affected |= self.directory.with_branches({entry.id})
                _add_reach(amended, entry.id, reach)
            elif entry is not None:
                earlier = self.directory.agreement(entry.id)
                self.directory.put_agreement(entry)
                if earlier is not None and earlier != entry:
                    affected.update(earlier.parties)
                for party in (*entry.parties, *(() if earlier is None else earlier.parties)):
                    _add_reach(amended, party, NO_REACH)
            gives_way = gives_way and record.change == self.directory.version + 1
            self.directory.version = record.change
        with self._amending:
            for organization_id, reach in amended.items():
                _add_reach(self._amended, organization_id, reach)
            self._affected |= affected

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
        """Whether a call of one of the methods `take_...` may return something.

        Also while a transaction has changed observations and has not been settled.
        """
        return bool(
            self._changed or self._unsettled or self._amended or self._affected or self._begun_to_seek
        )

    def take_changed(self) -> set[str]:
        """Return and forget the organisations whose observations have changed."""
        with self._settling:
            changed, self._changed = self._changed, set()
        return changed

    def give_back(self, changed: Iterable[str]) -> None:
        """Undo `take_changed` for these organisations."""
        with self._settling:
            self._changed |= set(changed)

    def take_amended(self) -> dict[str, Reach]:
        """Return and forget the organisations whose records or agreements have changed.

        With what their services covered before. EVERY_VETTED_ORGANIZATION stands for all, when an agreement
        of all has changed.
        """
        with self._amending:
            amended, self._amended = self._amended, {}
        return amended

    def note_begun_to_seek(self, referral_ids: Iterable[str], basis: DecisionBasis) -> None:
        """Note the referrals that a committed transaction left without an offer.

        basis: what their decisions read (see `RoutingTransactions.basis`).
        """
        with self._amending:
            self._begun_to_seek |= dict.fromkeys(referral_ids, basis)
            if len(self._begun_to_seek) > MOST_BEGUN_TO_SEEK:
                self._begun_to_seek = {}
                _add_reach(self._amended, EVERY_VETTED_ORGANIZATION, NO_REACH)

    def take_begun_to_seek(self) -> dict[str, DecisionBasis]:
        """Return and forget the referrals that have begun to seek, with the basis of their decisions.

        If they were too many to be noted, `take_amended` returns EVERY_VETTED_ORGANIZATION instead. Call this
        one first.
        """
        with self._amending:
            begun, self._begun_to_seek = self._begun_to_seek, {}
        return begun

    def take_affected(self) -> set[str]:
        """Return and forget the organisations whose open offers may not be covered any more.

        Their approvals, approved services, agreements, kind, country or parents have changed.
        EVERY_VETTED_ORGANIZATION stands for all, when an agreement of all has changed. After the start these
        are all organisations.
        """
        with self._amending:
            affected, self._affected = self._affected, set()
        return affected

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
