"""`ports.Log` in SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy import Row as SqlRow
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Defect
from runtime.storage.columns import microseconds
from runtime.storage.sql_statement import SqlStatement
from services.audit.adapters.tables import ENTRIES, HEAD, NODES, OPENINGS
from services.audit.log.adapters.sql_search import page_of
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.entry import organizations_of
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import HASH_BYTES, Frontier, HashReader, Row
from services.audit.log.domain.search import Search
from services.audit.log.ports import NewEntry, OpenedLeaf, PartyLeaf, StoredLeaf

_THE_HEAD = 1
_MICROSECOND = dt.timedelta(microseconds=1)

# Statements that an append runs for every entry.
_KNOWN = SqlStatement("SELECT message_id FROM entries WHERE message_id = ANY (?)")
_ADD_ENTRY = SqlStatement(
    "INSERT INTO entries (leaf_index, leaf, message_id, type, time, latest, referral_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_ADD_OPENING = SqlStatement("INSERT INTO openings (leaf_index, salt, data) VALUES (?, ?, ?)")
_ADD_ORGANIZATION = SqlStatement("INSERT INTO organizations (organization, leaf_index) VALUES (?, ?)")
_ADD_FACET = SqlStatement("INSERT INTO facets (facet, value, leaf_index) VALUES (?, ?, ?)")
_ADD_NODES = SqlStatement("INSERT INTO nodes (level, first, hashes) VALUES (?, ?, ?)")

# Built once: building a statement takes longer than running it on SQLite.
_READ_HEAD = select(HEAD).where(HEAD.c.number == _THE_HEAD)
_ADVANCE = update(HEAD).where(HEAD.c.number == _THE_HEAD, HEAD.c.size == bindparam("from_size"))
_LEAVES = (
    select(ENTRIES)
    .where(ENTRIES.c.leaf_index >= bindparam("start"), ENTRIES.c.leaf_index < bindparam("stop"))
    .order_by(ENTRIES.c.leaf_index)
)
_LEAF_BYTES = _LEAVES.with_only_columns(ENTRIES.c.leaf)
_OPENED = (
    select(ENTRIES.c.leaf_index, ENTRIES.c.leaf, OPENINGS.c.salt, OPENINGS.c.data)
    .outerjoin(OPENINGS, OPENINGS.c.leaf_index == ENTRIES.c.leaf_index)
    .where(ENTRIES.c.referral_id == bindparam("referral_id"), ENTRIES.c.leaf_index < bindparam("stop"))
    .order_by(ENTRIES.c.leaf_index)
    .limit(bindparam("most"))
)
_PARTY_LEAVES = (
    select(ENTRIES.c.leaf_index, ENTRIES.c.leaf, OPENINGS.c.data)
    .join(OPENINGS, OPENINGS.c.leaf_index == ENTRIES.c.leaf_index)
    .where(
        # Searched by primary key: the range is short and contains most types.
        ENTRIES.c.leaf_index >= bindparam("start"),
        ENTRIES.c.leaf_index < bindparam("stop"),
        ENTRIES.c.type.in_(bindparam("types", expanding=True)),
        ENTRIES.c.referral_id.is_not(None),
    )
    .order_by(ENTRIES.c.leaf_index)
)
_OPENED_DATA = select(OPENINGS).where(
    OPENINGS.c.leaf_index.in_(bindparam("indices", expanding=True)),
)
_OVERLAPPING = select(func.max(NODES.c.first)).where(
    NODES.c.level == bindparam("level"), NODES.c.first <= bindparam("start")
)
_NODE_ROWS = (
    select(NODES.c.first, NODES.c.hashes)
    .where(
        NODES.c.level == bindparam("level"),
        NODES.c.first >= _OVERLAPPING.scalar_subquery(),
        NODES.c.first < bindparam("stop"),
    )
    .order_by(NODES.c.first)
)
_NODE_ROW = (
    select(NODES.c.first, NODES.c.hashes)
    .where(NODES.c.level == bindparam("level"), NODES.c.first <= bindparam("at"))
    .order_by(NODES.c.first.desc())
    .limit(1)
)


class SqlLog:
    """`ports.Log` over the tables of `adapters.tables`."""

    def head(self, transaction: Connection) -> Head | None:
        """See `ports.Log`."""
        row = transaction.execute(_READ_HEAD).one_or_none()
        if row is None:
            return None
        return Head(
            frontier=_frontier(row.size, row.frontier),
            chronology=Chronology(latest=row.latest, lateness=row.lateness * _MICROSECOND),
            checkpoint=row.checkpoint,
            signed_at=row.signed_at,
        )

    def initialize(self, transaction: Connection, head: Head) -> None:
        """See `ports.Log`."""
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        row = {"number": _THE_HEAD, **_head_columns(head)}
        transaction.execute(dialect.insert(HEAD).values(row).on_conflict_do_nothing())

    def advance(self, transaction: Connection, head: Head, *, from_size: int) -> bool:
        """See `ports.Log`."""
        # On PostgreSQL this waits for a concurrent transaction on the row and then sees its size.
        swapped = transaction.execute(_ADVANCE, {"from_size": from_size, **_head_columns(head)})
        return swapped.rowcount == 1

    def known(self, transaction: Connection, message_ids: Sequence[str]) -> set[str]:
        """See `ports.Log`."""
        return set(_KNOWN.run(transaction, list(message_ids)).scalars())

    def add(self, transaction: Connection, entries: Sequence[NewEntry], rows: Sequence[Row]) -> None:
        """See `ports.Log`."""
        _ADD_ENTRY.run_for_each(
            transaction,
            [
                (
                    new.index,
                    new.leaf,
                    new.entry.message_id,
                    new.entry.type,
                    microseconds(new.entry.time),
                    microseconds(new.latest),
                    new.entry.referral_id,
                )
                for new in entries
            ],
        )
        _ADD_OPENING.run_for_each(
            transaction, [(new.index, new.salt, new.content.decode()) for new in entries]
        )
        _ADD_ORGANIZATION.run_for_each(
            transaction,
            [(organization, new.index) for new in entries for organization in new.organizations],
        )
        _ADD_FACET.run_for_each(
            transaction, [(facet, value, new.index) for new in entries for facet, value in new.facets]
        )
        _ADD_NODES.run_for_each(transaction, [(row.level, row.first, b"".join(row.hashes)) for row in rows])

    def leaves(self, transaction: Connection, start: int, stop: int) -> list[StoredLeaf]:
        """See `ports.Log`."""
        return [_stored(row) for row in transaction.execute(_LEAVES, {"start": start, "stop": stop})]

    def leaf_bytes(self, transaction: Connection, start: int, stop: int) -> list[bytes]:
        """See `ports.Log`."""
        leaves = list(transaction.execute(_LEAF_BYTES, {"start": start, "stop": stop}).scalars())
        if len(leaves) != stop - start:
            raise Defect("An entry of the log is missing.")
        return leaves

    def search(
        self, transaction: Connection, search: Search, *, start: int, stop: int, limit: int
    ) -> list[StoredLeaf]:
        """See `ports.Log`."""
        return self.search_some(transaction, search, start=start, stop=stop, limit=limit, max_scanned=None)[0]

    def search_some(
        self,
        transaction: Connection,
        search: Search,
        *,
        start: int,
        stop: int,
        limit: int,
        max_scanned: int | None,
    ) -> tuple[list[StoredLeaf], int]:
        """See `ports.Log`."""
        # Only an upper time bound depends on the lateness of events.
        head = None if search.until is None else self.head(transaction)
        chronology = Chronology() if head is None else head.chronology
        rows, reached = page_of(
            transaction, search, chronology, start=start, stop=stop, limit=limit, max_scanned=max_scanned
        )
        return [_stored(row) for row in rows], reached

    def opened_leaves(
        self, transaction: Connection, referral_id: str, *, stop: int, limit: int
    ) -> list[OpenedLeaf]:
        """See `ports.Log`."""
        wanted = {"referral_id": referral_id, "stop": stop, "most": limit}
        rows = transaction.execute(_OPENED, wanted)
        return [OpenedLeaf(index=row.leaf_index, leaf=row.leaf, salt=row.salt, data=row.data) for row in rows]

    def opened(self, transaction: Connection, leaves: Sequence[StoredLeaf]) -> list[OpenedLeaf]:
        """See `ports.Log`."""
        indices = [leaf.index for leaf in leaves]
        rows = transaction.execute(_OPENED_DATA, {"indices": indices}) if indices else ()
        found = {row.leaf_index: (row.salt, row.data) for row in rows}
        return [
            OpenedLeaf(index=leaf.index, leaf=leaf.leaf, salt=salt, data=data)
            for leaf in leaves
            for salt, data in [found.get(leaf.index, (None, None))]
        ]

    def party_leaves(
        self, transaction: Connection, types: Sequence[str], *, start: int, stop: int
    ) -> list[PartyLeaf]:
        """See `ports.Log`."""
        span = {"types": list(types), "start": start, "stop": stop}
        return [
            PartyLeaf(index=index, leaf=leaf, organizations=organizations_of(data))
            for index, leaf, data in transaction.execute(_PARTY_LEAVES, span)
        ]

    def hashes(self, transaction: Connection, level: int, start: int, stop: int) -> bytes:
        """See `ports.Log`."""
        rows = transaction.execute(_NODE_ROWS, {"level": level, "start": start, "stop": stop}).all()
        first = rows[0].first if rows else start
        line = b"".join(row.hashes for row in rows)
        hashes = line[(start - first) * HASH_BYTES : (stop - first) * HASH_BYTES]
        if len(hashes) != (stop - start) * HASH_BYTES:
            raise Defect("A node of the log's tree is missing.")
        return hashes

    def nodes(self, transaction: Connection) -> HashReader:
        """See `ports.Log`."""

        def read(level: int, index: int, /) -> bytes:
            row = transaction.execute(_NODE_ROW, {"level": level, "at": index}).one_or_none()
            offset = 0 if row is None else (index - row.first) * HASH_BYTES
            digest: bytes = b"" if row is None else row.hashes[offset : offset + HASH_BYTES]
            if len(digest) != HASH_BYTES:
                raise Defect("A node of the log's tree is missing.")
            return digest

        return read


def _head_columns(head: Head) -> dict[str, object]:
    return {
        "size": head.size,
        "frontier": head.frontier.to_bytes(),
        "latest": head.chronology.latest,
        "lateness": head.chronology.lateness // _MICROSECOND,
        "checkpoint": head.checkpoint,
        "signed_at": head.signed_at,
    }


def _frontier(size: int, data: bytes) -> Frontier:
    try:
        frontier = Frontier.from_bytes(data)
    except ValueError:
        raise Defect("The stored head of the log is malformed.") from None
    if frontier.size != size:
        raise Defect("The stored head of the log is inconsistent.")
    return frontier


def _stored(row: SqlRow[tuple[object, ...]]) -> StoredLeaf:
    return StoredLeaf(
        index=row.leaf_index,
        leaf=row.leaf,
        message_id=row.message_id,
        type=row.type,
        time=row.time,
        latest=row.latest,
        referral_id=row.referral_id,
    )
