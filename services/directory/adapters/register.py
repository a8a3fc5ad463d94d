"""The SQL implementation of `ports.Register`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, Text, func, insert, select, text, type_coerce
from sqlalchemy.dialects import postgresql, sqlite

from contracts.codes import SuspensionReason, Vetting
from contracts.organization import Agreement, Organization
from contracts.records import read
from contracts.responses.directory import Suspension
from runtime.turn import in_turns
from services.directory.adapters.decoded_records import DecodedRecords
from services.directory.adapters.tables import AGREEMENTS, CLIENTS, ORGANIZATIONS, REVISIONS, TOKEN_KEYS
from services.directory.domain.client import Client
from services.directory.domain.entry import SUBJECTS, DirectoryEntry, E, Revision, Standing, Subject, TokenKey
from services.directory.domain.lookalikes import KnownIds

_TABLES: Final[Mapping[type[DirectoryEntry], Table]] = {
    Organization: ORGANIZATIONS,
    Agreement: AGREEMENTS,
    TokenKey: TOKEN_KEYS,
    Client: CLIENTS,
}
# A suspended organisation changes nothing itself, and operators change little of it.
_MOST_CHANGES_LOOKED_AT: Final = 100
_KINDS: Final[Mapping[Subject, type[DirectoryEntry]]] = {subject: kind for kind, subject in SUBJECTS.items()}
# Columns that stay when a row is replaced.
_UNCHANGED: Final = frozenset({"id", "registered"})


class SqlRegister:
    """See `ports.Register`."""

    def __init__(self) -> None:
        self._decoded = DecodedRecords()

    def hold(self, transaction: Connection) -> None:
        """See `ports.Register`. On SQLite a write transaction is exclusive already."""
        if transaction.dialect.name == "postgresql":
            transaction.execute(text("LOCK TABLE revisions IN EXCLUSIVE MODE"))

    def standing(self, transaction: Connection, kind: type[E], ids: Sequence[str]) -> dict[str, Standing[E]]:
        """See `ports.Register`."""
        table = _TABLES[kind]
        rows = transaction.execute(select(table).where(table.c.id.in_(ids)))
        return {row.id: _standing(kind, row) for row in rows}

    def store(self, transaction: Connection, revisions: Sequence[Revision[Any]]) -> None:
        """See `ports.Register`."""
        if not revisions:
            return
        table = _TABLES[type(revisions[0].entry)]
        more = {"registered": _next_registered(transaction)} if table is CLIENTS else {}
        transaction.execute(
            insert(REVISIONS),
            [
                {
                    "subject": revision.subject.value,
                    "id": revision.entry.id,
                    "number": revision.number,
                    "previous": revision.previous,
                    "changed_by": revision.changed_by,
                    "changed_at": revision.changed_at,
                    "record": revision.entry,
                    "reason": revision.reason,
                }
                for revision in revisions
            ],
        )
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table)
        upsert = statement.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={c.name: statement.excluded[c.name] for c in table.c if c.name not in _UNCHANGED},
        )
        transaction.execute(upsert, [_row(revision) | more for revision in revisions])

    def page(
        self, transaction: Connection, kind: type[E], where: Mapping[str, str], after: str, limit: int
    ) -> list[Standing[E]]:
        """See `ports.Register`."""
        table = _TABLES[kind]
        # Read as text, because a record whose text was decoded lately is not decoded again.
        columns = table.c.revision, type_coerce(table.c.record, Text).label("record")
        query = select(*columns).where(table.c.id > after).order_by(table.c.id).limit(limit)
        for column, value in where.items():
            query = query.where(table.c[column] == value)
        return [
            Standing(revision=row.revision, entry=self._decoded.read(kind, row.record))
            for row in in_turns(transaction.execute(query).all())
        ]

    def suspension(self, transaction: Connection, organization: str) -> Suspension | None:
        """See `ports.Register`."""
        query = (
            select(REVISIONS.c.changed_by, REVISIONS.c.changed_at, REVISIONS.c.reason, REVISIONS.c.record)
            .where(REVISIONS.c.subject == Subject.organization.value, REVISIONS.c.id == organization)
            .order_by(REVISIONS.c.number.desc())
            .limit(_MOST_CHANGES_LOOKED_AT)
        )
        found = None
        for row in transaction.execute(query):
            if row.record["vetting"] != Vetting.suspended:
                break
            reason = None if row.reason is None else SuspensionReason(row.reason)
            found = Suspension(by=row.changed_by, at=row.changed_at, reason=reason)
            if reason is not None:
                break
        return found

    def clients_of(self, transaction: Connection, principals: Sequence[str]) -> list[Client]:
        """See `ports.Register`."""
        query = select(CLIENTS.c.record).where(CLIENTS.c.principal.in_(principals)).order_by(CLIENTS.c.id)
        return [read(Client, row.record) for row in transaction.execute(query)]

    def registered(self, transaction: Connection, clients: Sequence[str]) -> Mapping[str, int]:
        """See `ports.Register`."""
        query = select(CLIENTS.c.id, CLIENTS.c.registered).where(CLIENTS.c.id.in_(clients))
        return {row.id: row.registered for row in transaction.execute(query)}

    def known_ids(self, transaction: Connection) -> KnownIds:
        """See `ports.Register`."""
        organizations = transaction.execute(select(ORGANIZATIONS.c.id)).scalars().all()
        clients = transaction.execute(select(CLIENTS.c.id, CLIENTS.c.principal))
        return KnownIds(organizations, {row.id: row.principal for row in clients})

    def every(self, transaction: Connection, subject: Subject) -> Iterator[Standing[DirectoryEntry]]:
        """See `ports.Register`."""
        kind = _KINDS[subject]
        table = _TABLES[kind]
        for row in transaction.execute(select(table).order_by(table.c.id)):
            yield Standing(revision=row.revision, entry=read(kind, row.record))


def _next_registered(transaction: Connection) -> int:
    # `hold` excludes other writers.
    highest: int = transaction.execute(select(func.coalesce(func.max(CLIENTS.c.registered), 0))).scalar_one()
    return highest + 1


def _standing(kind: type[E], row: Any) -> Standing[E]:
    return Standing(revision=row.revision, entry=read(kind, row.record))


def _row(revision: Revision[Any]) -> dict[str, Any]:
    entry = revision.entry
    row = {"id": entry.id, "revision": revision.number, "record": entry}
    if isinstance(entry, Organization):
        row |= {"kind": entry.kind.value, "country": entry.country}
    elif isinstance(entry, Client):
        row |= {"principal": entry.principal}
    return row
