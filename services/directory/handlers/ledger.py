"""The transaction of a change: its entry, its revision and every fact that follows, atomically."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.codes import SuspensionReason, WithdrawalOfApproval
from contracts.envelope import Event
from contracts.facts import Fact
from contracts.organization import Agreement, Organization
from contracts.responses.directory import Suspension
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from services.directory.domain.agreement_overlap import check_overlap
from services.directory.domain.client import Client
from services.directory.domain.entry import DirectoryEntry, E, Revision, Standing, Subject, revise
from services.directory.domain.full_state import full_state
from services.directory.domain.lookalikes import KnownIds
from services.directory.domain.notices import notices
from services.directory.domain.references import check_references
from services.directory.domain.sealing_key_history import KeptKey, manner_of
from services.directory.ports import Register, SealingKeyStore, ServiceIndex


class Follower(Protocol):
    """Does what follows from a change of an entry. before: None for a new one; by: who changed it."""

    def __call__(
        self, writing: Writing, before: DirectoryEntry | None, after: DirectoryEntry, by: str, /
    ) -> None: ...


class Ledger:
    """Opens the transactions in which entries change. One is open at a time, across processes."""

    def __init__(
        self,
        *,
        database: Database,
        register: Register,
        index: ServiceIndex,
        keys: SealingKeyStore,
        outbox: Outbox,
        source: str,
        clock: Clock,
        committed: Callable[[], None],
    ) -> None:
        """source: the CloudEvents source of the events; committed: called after each commit.

        followers: called with each changed entry, in the transaction of the change.
        """
        self.followers: list[Follower] = []
        self.database = database
        self.register = register
        self.index = index
        self.keys = keys
        self.outbox = outbox
        self.source = source
        self.clock = clock
        self._committed = committed

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Open a transaction for changes; commit when the block ends, roll back when it raises."""
        with self.database.write() as transaction:
            self.register.hold(transaction)
            yield Writing(ledger=self, transaction=transaction, now=self.clock.now())
        self._committed()


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing:
    """One open transaction."""

    ledger: Ledger
    transaction: Connection
    now: dt.datetime

    def standing(self, kind: type[E], entry_id: str) -> Standing[E] | None:
        """Return an entry's current state; None if it does not exist."""
        return self.ledger.register.standing(self.transaction, kind, [entry_id]).get(entry_id)

    def suspension(self, organization: str) -> Suspension | None:
        """Return who suspended an organisation, when and why; None if it is not suspended."""
        return self.ledger.register.suspension(self.transaction, organization)

    def organization(self, organization: str) -> Organization | None:
        """Return an organisation's record; None if it does not exist."""
        found = self.standing(Organization, organization)
        return None if found is None else found.entry

    def known_ids(self) -> KnownIds:
        """Return the ids of all organisations and clients."""
        return self.ledger.register.known_ids(self.transaction)

    def check(self, present: Standing[E] | None, wanted: E) -> None:
        """Check a changed entry against the others. Raises Refused `unknown-organization` and `conflict`.

        conflict: an agreement that overlaps another one.
        """
        before: DirectoryEntry | None = None if present is None else present.entry
        if before == wanted:
            return
        check_references(before, wanted, self.organization)
        if isinstance(wanted, Agreement):
            assert before is None or isinstance(before, Agreement)
            stored = self.ledger.register.every(self.transaction, Subject.agreement)
            others = (standing.entry for standing in stored if isinstance(standing.entry, Agreement))
            check_overlap(before, wanted, others)

    def put(
        self,
        wanted: E,
        *,
        by: str,
        approved_by: str | None = None,
        reason: SuspensionReason | None = None,
        withdrawn_for: WithdrawalOfApproval | None = None,
    ) -> Standing[E]:
        """Write one entry with its facts; return its state. An unchanged entry makes no revision.

        reason: why the change suspends the organisation; with one, an unchanged entry makes a revision too.
        withdrawn_for: why the change withdraws the approval of a service.
        """
        present = self.standing(type(wanted), wanted.id)
        self.check(present, wanted)
        known = {} if present is None else {wanted.id: present}
        revisions = self.put_all(
            known,
            [wanted],
            by=by,
            approved_by=approved_by,
            reason=reason,
            withdrawn_for=withdrawn_for,
        )
        if not revisions:
            assert present is not None
            return present
        return Standing(revision=revisions[0].number, entry=wanted)

    def put_all(
        self,
        standing: dict[str, Standing[E]],
        wanted: Sequence[E],
        *,
        by: str,
        approved_by: str | None = None,
        reason: SuspensionReason | None = None,
        withdrawn_for: WithdrawalOfApproval | None = None,
    ) -> Sequence[Revision[E]]:
        """Write entries of one kind whose references are checked. standing: their current states, by id.

        reason, withdrawn_for: see `put`.
        """
        revisions = revise(standing, wanted, by=by, at=self.now, reason=reason)
        if not revisions:
            return ()
        first_clients = self._first_clients(revisions)
        self.ledger.register.store(self.transaction, revisions)
        before = {entry_id: s.entry for entry_id, s in standing.items()}
        entries: Sequence[DirectoryEntry] = [revision.entry for revision in revisions]
        changed = [entry for entry in entries if isinstance(entry, Organization)]
        if changed:
            self.ledger.index.replace(self.transaction, changed)
        facts: list[tuple[Fact, str]] = []
        for revision in revisions:
            entry: DirectoryEntry = revision.entry
            present = before.get(entry.id)
            if isinstance(entry, Organization):
                self._keep_key(present, entry, revision.number, by, approved_by)
            state = Standing(revision=revision.number, entry=entry)
            facts.append((full_state(state, by=by, reason=reason), entry.id))
            first = entry.id in first_clients
            for fact in notices(
                present,
                entry,
                by=by,
                approved_by=approved_by,
                first_client=first,
                withdrawn_for=withdrawn_for,
            ):
                facts.append((fact, entry.id))
        # Together, so that thousands of entries make few messages.
        self.ledger.outbox.add(self.transaction, [self._message(fact, key) for fact, key in facts])
        for revision in revisions:
            for follow in self.ledger.followers:
                follow(self, before.get(revision.entry.id), revision.entry, by)
        return revisions

    def tell(self, fact: Fact, *, key: str) -> None:
        """Publish a fact with this transaction. key: of its partition."""
        self.ledger.outbox.add(self.transaction, [self._message(fact, key)])

    def _message(self, fact: Fact, key: str) -> Outgoing:
        number = new_id()
        event = Event(
            id=number,
            source=self.ledger.source,
            time=self.now,
            partition_key=key,
            correlation_id=number,
            causation_id=None,
            data=fact,
        )
        return outgoing(event)

    def _first_clients(self, revisions: Sequence[Revision[Any]]) -> set[str]:
        clients = [revision.entry for revision in revisions if isinstance(revision.entry, Client)]
        if not clients:
            return set()
        principals = [client.principal for client in clients]
        known = {c.principal for c in self.ledger.register.clients_of(self.transaction, principals)}
        return {client.id for client in clients if client.principal not in known}

    def _keep_key(
        self, before: object, after: Organization, number: int, by: str, approved_by: str | None
    ) -> None:
        present = before if isinstance(before, Organization) else None
        key, change = after.sealing_key, after.sealing_key_change
        if key is None or (present is not None and key == present.sealing_key):
            return
        kept = KeptKey(
            organization=after.id,
            key=key,
            since=self.now if change is None else change.at,
            manner=manner_of(present, after),
            by=by,
            approved_by=approved_by,
        )
        self.ledger.keys.keep(self.transaction, number, kept)
