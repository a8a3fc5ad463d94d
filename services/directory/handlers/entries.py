"""Commands that change entries. Each change writes a revision and a full-state event atomically."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final, Generic

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import PointerError, Refused
from contracts.organization import Agreement, Organization, SealingKey
from contracts.records import plain
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from services.directory.domain.amendment import Editor, permit_amendment, refuse_left_out
from services.directory.domain.client import Client, Role, client
from services.directory.domain.entry import (
    DirectoryEntry,
    E,
    E_co,
    Revision,
    Standing,
    Subject,
    TokenKey,
    revise,
)
from services.directory.domain.full_state import full_state
from services.directory.domain.precondition import (
    ANY_REVISION,
    Precondition,
    check_precondition,
    merge_patch,
)
from services.directory.domain.references import check_references
from services.directory.ports import Register, ServiceIndex

# Entries per transaction, so that loading thousands does not block a running service's writes.
_BATCH: Final = 500
# All members of the records; naming them all leaves nothing out.
MEMBERS: Final = frozenset(field.name for kind in (Organization, Agreement) for field in fields(kind))


@dataclass(frozen=True, kw_only=True, slots=True)
class Written(Generic[E_co]):
    """An entry after a write. created: whether it is new."""

    standing: Standing[E_co]
    created: bool


class Entries:
    """The only code that changes entries."""

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
        self,
        editor: Editor,
        wanted: Organization,
        *,
        precondition: Precondition | None = None,
        named: Collection[str] = MEMBERS,
    ) -> Written[Organization]:
        """Create or replace an organisation's record. named: the members that the request contains.

        Raises Refused: `forbidden` and `invalid-submission` with pointers (see `refuse_left_out`),
        `precondition-required`, `precondition-failed`, `unknown-organization`.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            permit_amendment(editor, present, wanted)
            return _replaced(present, wanted, precondition, named)

        return self._write(Organization, wanted.id, decide, editor.id)

    def patch_organization(
        self,
        editor: Editor,
        organization: str,
        patch: Mapping[str, Any],
        *,
        precondition: Precondition | None = None,
        admit: Callable[[object], Organization],
    ) -> Written[Organization]:
        """Change part of a record by a JSON merge patch (RFC 7396). admit: parses JSON to a record.

        Raises Refused: what `put_organization` raises, `not-found`, and what `admit` raises.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            if not editor.operator and editor.id != organization:
                raise Refused("forbidden", "An organisation may change only its own record.")
            if present is None:
                raise Refused("not-found", "The directory has no organisation with this id.")
            wanted = admit(merge_patch(plain(present.entry), patch))
            if wanted.id != organization:
                where = PointerError(pointer="/id", detail="Cannot be changed.")
                raise Refused("invalid-submission", "The id of a record is permanent.", errors=[where])
            permit_amendment(editor, present, wanted)
            return _replaced(present, wanted, precondition, MEMBERS)

        return self._write(Organization, organization, decide, editor.id)

    def put_sealing_key(
        self, organization: str, key: SealingKey, *, precondition: Precondition | None = None
    ) -> Written[Organization]:
        """Publish or replace an organisation's sealing key; the rest of its record stays.

        precondition: on the whole record; without one the key is always replaced. Raises Refused `not-found`
        if the organisation has no record, and `precondition-failed`.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            if present is None:
                raise Refused(
                    "not-found",
                    "The directory has no record of this organisation, so it cannot publish a key.",
                )
            wanted = replace(present.entry, sealing_key=key)
            return _replaced(present, wanted, precondition or ANY_REVISION, MEMBERS)

        return self._write(Organization, organization, decide, organization)

    def amend_organization(
        self,
        organization: str,
        amend: Callable[[Organization], Organization],
        *,
        by: str,
        precondition: Precondition | None = None,
    ) -> Written[Organization]:
        """Change a record with a rule of the network. precondition: without one, of any revision.

        Raises Refused `not-found`, `precondition-failed` and what `amend` raises.
        """

        def decide(present: Standing[Organization] | None) -> Organization:
            if present is None:
                raise Refused("not-found", "The directory has no organisation with this id.")
            return _replaced(present, amend(present.entry), precondition or ANY_REVISION, MEMBERS)

        return self._write(Organization, organization, decide, by)

    def put_agreement(
        self,
        editor: Editor,
        wanted: Agreement,
        *,
        precondition: Precondition | None = None,
        named: Collection[str] = MEMBERS,
    ) -> Written[Agreement]:
        """Create or replace an agreement. Raises what `put_organization` raises."""

        def decide(present: Standing[Agreement] | None) -> Agreement:
            return _replaced(present, wanted, precondition, named)

        return self._write(Agreement, wanted.id, decide, editor.id)

    def put_client(
        self,
        editor: Editor,
        *,
        client_id: str,
        principal: str,
        roles: tuple[Role, ...],
        secret: str,
        precondition: Precondition | None = None,
    ) -> Written[Client]:
        """Create a client, or replace its secret; the old secret is invalid from the commit on.

        Raises Refused: `conflict` if the client id belongs to another principal, `unknown-organization` if a
        partner is not in the directory, `precondition-required` if the client exists,
        `precondition-failed`.
        """

        def decide(present: Standing[Client] | None) -> Client:
            if present is not None and present.entry.principal != principal:
                raise Refused("conflict", "This client id belongs to another principal.")
            check_precondition(None if present is None else present.revision, precondition)
            return client(client_id=client_id, principal=principal, roles=roles, secret=secret)

        return self._write(Client, client_id, decide, editor.id)

    def announce(self, key: TokenKey, *, by: str) -> None:
        """Publish the key that signs tokens, and withdraw every other key.

        A key is replaced because it is old or was stolen. Tokens live for minutes and clients renew a refused
        token, so the old key can be withdrawn at once.
        """
        with self._database.write() as transaction:
            self._register.hold(transaction)
            ids = [known.entry.id for known in self._register.every(transaction, Subject.token_key)]
            standing = self._register.standing(transaction, TokenKey, [*ids, key.id])
            others = [replace(s.entry, withdrawn=True) for i, s in standing.items() if i != key.id]
            self._keep(transaction, revise(standing, [key, *others], by=by, at=self._clock.now()))
        self._committed()

    def enter(self, kind: type[E], wanted: Sequence[E], *, by: str) -> int:
        """Create or replace entries, in batches of one transaction each; return how many changed.

        For an operator's files, so no permission is checked. Idempotent: repeat it after a crash between two
        transactions. A record without a sealing key, or without approved services, keeps those that it has:
        files are written before partners publish their keys and the network approves services.
        """
        changed = 0
        for batch in _batches(wanted):
            with self._database.write() as transaction:
                self._register.hold(transaction)
                standing = self._register.standing(transaction, kind, [entry.id for entry in batch])
                kept = [_with_kept_members(entry, standing.get(entry.id)) for entry in batch]
                revisions = revise(standing, kept, by=by, at=self._clock.now())
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
            before = None if present is None else present.entry
            if before != entry:
                check_references(before, entry, partial(self._organization, transaction))
            revisions = revise(standing, [entry], by=by, at=self._clock.now())
            self._keep(transaction, revisions)
        self._committed()
        if present is not None and not revisions:
            return Written(standing=present, created=False)
        return Written(standing=Standing(revision=revisions[0].number, entry=entry), created=present is None)

    def _organization(self, transaction: Connection, organization: str) -> Organization | None:
        found = self._register.standing(transaction, Organization, [organization]).get(organization)
        return None if found is None else found.entry

    def _keep(self, transaction: Connection, revisions: Sequence[Revision[Any]]) -> None:
        if not revisions:
            return
        self._register.store(transaction, revisions)
        changed = [r.entry for r in revisions if isinstance(r.entry, Organization)]
        if changed:
            self._index.replace(transaction, changed)
        self._outbox.add(transaction, self._events(revisions))

    def _events(self, revisions: Iterable[Revision[Any]]) -> Iterator[Outgoing]:
        for revision in revisions:
            entry: DirectoryEntry = revision.entry
            number = new_id()
            yield outgoing(
                Event(
                    id=number,
                    source=self._source,
                    time=revision.changed_at,
                    partition_key=entry.id,
                    correlation_id=number,
                    causation_id=None,
                    data=full_state(Standing(revision=revision.number, entry=entry), by=revision.changed_by),
                )
            )


def _replaced(
    present: Standing[E] | None, wanted: E, precondition: Precondition | None, named: Collection[str]
) -> E:
    if present is not None:
        if present.entry == wanted and precondition is not None and not precondition.absent:
            # A repetition after a lost response: RFC 9110 §13.1.1 lets it succeed. Nothing is overwritten.
            return wanted
        check_precondition(present.revision, precondition)
        refuse_left_out(present.entry, wanted, named)
    else:
        check_precondition(None, precondition)
    return wanted


def _with_kept_members(wanted: E, present: Standing[E] | None) -> E:
    if present is None or not isinstance(wanted, Organization):
        return wanted
    return replace(
        wanted,
        sealing_key=wanted.sealing_key or present.entry.sealing_key,
        approved_services=wanted.approved_services or present.entry.approved_services,
    )


def _batches(entries: Sequence[E]) -> Iterator[Sequence[E]]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]
