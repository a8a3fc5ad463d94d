"""Changing entries: every change a revision, and a full-state event in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Refused
from contracts.organization import Agreement, Organization, SealingKey
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from services.directory.domain.amendment import Editor, check_expected, permit_amendment
from services.directory.domain.client import Client, Role, client
from services.directory.domain.entry import E, E_co, Entry, Revision, Standing, Subject, TokenKey, revise
from services.directory.domain.full_state import full_state
from services.directory.ports import Register, ServiceIndex

# Entries a transaction: a file of thousands must not keep a running service from writing.
_BATCH: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Written(Generic[E_co]):
    """An entry after it was written. created: whether there was none before."""

    standing: Standing[E_co]
    created: bool


class Entries:
    """The one way to change what the directory keeps."""

    def __init__(
        self,
        *,
        database: Database,
        register: Register,
        index: ServiceIndex,
        outbox: Outbox,
        source: str,
        clock: Clock,
        committed: Callable[[], None],
    ) -> None:
        """source: the CloudEvents source of the events; committed: called after each commit."""
        self._database = database
        self._register = register
        self._index = index
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._committed = committed

    def put_organization(
        self, editor: Editor, wanted: Organization, *, expected: int | None = None
    ) -> Written[Organization]:
        """Replaces a record by another. expected: the revision the editor saw, None: any.

        Raises Refused `forbidden` with pointers, or `conflict`.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            permit_amendment(editor, present, wanted)
            check_expected(present, expected)
            return wanted

        return self._write(Organization, wanted.id, decide, editor.id)

    def put_sealing_key(self, organization: str, key: SealingKey) -> Written[Organization]:
        """Publishes an organisation's own key. Raises Refused `not-found` where it has no record."""

        def decide(present: Standing[Organization] | None) -> Organization:
            if present is None:
                raise Refused("not-found", "There is no organisation record to publish a key in.")
            return replace(present.entry, sealing_key=key)

        return self._write(Organization, organization, decide, organization)

    def put_agreement(self, editor: Editor, wanted: Agreement) -> Written[Agreement]:
        """Enters an agreement, or replaces the one of that id."""
        return self._write(Agreement, wanted.id, lambda _: wanted, editor.id)

    def put_client(
        self, editor: Editor, *, client_id: str, principal: str, roles: tuple[Role, ...], secret: str
    ) -> Written[Client]:
        """Gives a client a new secret; the one before is worth nothing from the commit on.

        Raises Refused `conflict` for a client id that is another principal's.
        """

        def decide(present: Standing[Client] | None) -> Client:
            if present is not None and present.entry.principal != principal:
                raise Refused("conflict", "This client id belongs to another principal.")
            return client(client_id=client_id, principal=principal, roles=roles, secret=secret)

        return self._write(Client, client_id, decide, editor.id)

    def announce(self, key: TokenKey, *, by: str) -> None:
        """Tells the network of the key we sign tokens with, and that every other key is withdrawn.

        A key is replaced because it is old or because it was stolen; tokens live for minutes, and a
        client whose token is refused asks for another: so the old key ends at once.
        """
        with self._database.write() as transaction:
            self._register.hold(transaction)
            ids = [known.entry.id for known in self._register.every(transaction, Subject.token_key)]
            standing = self._register.standing(transaction, TokenKey, [*ids, key.id])
            others = [replace(s.entry, withdrawn=True) for i, s in standing.items() if i != key.id]
            self._keep(transaction, revise(standing, [key, *others], by=by, at=self._clock.now()))
        self._committed()

    def enter(self, kind: type[E], wanted: Sequence[E], *, by: str) -> int:
        """Makes the entries what is wanted, in transactions of many; returns how many changed.

        For an operator's files: nobody's permission is asked. Repeatable: a crash between two
        transactions is mended by doing it again.
        """
        changed = 0
        for batch in _batches(wanted):
            with self._database.write() as transaction:
                self._register.hold(transaction)
                standing = self._register.standing(transaction, kind, [entry.id for entry in batch])
                revisions = revise(standing, batch, by=by, at=self._clock.now())
                self._keep(transaction, revisions)
            self._committed()
            changed += len(revisions)
        return changed

    def _write(
        self, kind: type[E], entry_id: str, decide: Callable[[Standing[E] | None], E], by: str
    ) -> Written[E]:
        with self._database.write() as transaction:
            self._register.hold(transaction)
            standing = self._register.standing(transaction, kind, [entry_id])
            present = standing.get(entry_id)
            entry = decide(present)
            revisions = revise(standing, [entry], by=by, at=self._clock.now())
            self._keep(transaction, revisions)
        self._committed()
        if present is not None and not revisions:
            return Written(standing=present, created=False)
        return Written(standing=Standing(revision=revisions[0].number, entry=entry), created=present is None)

    def _keep(self, transaction: Connection, revisions: Sequence[Revision[Any]]) -> None:
        if not revisions:
            return
        self._register.store(transaction, revisions)
        changed = [r.entry for r in revisions if isinstance(r.entry, Organization)]
        if changed:
            self._index.replace(transaction, changed)
        self._outbox.add(transaction, self._told(revisions))

    def _told(self, revisions: Iterable[Revision[Any]]) -> Iterator[Outgoing]:
        for revision in revisions:
            entry: Entry = revision.entry
            fact = full_state(Standing(revision=revision.number, entry=entry))
            if fact is not None:
                number = new_id()
                yield outgoing(
                    Event(
                        id=number,
                        source=self._source,
                        time=revision.changed_at,
                        partition_key=entry.id,
                        correlation_id=number,
                        causation_id=None,
                        data=fact,
                    )
                )


def _batches(entries: Sequence[E]) -> Iterator[Sequence[E]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
