"""`ports.Log` in SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy import Row as SqlRow
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Defect
from runtime.messaging.inbox import EventIdentity
from runtime.storage.columns import microseconds, moment_of, stored_bytes
from runtime.storage.sql_statement import SqlStatement
from runtime.turn import Turn
from services.audit.adapters.tables import ENTRIES, HEAD, NODES
from services.audit.log.adapters.sql_search import page_of
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.entry import organizations_of
from services.audit.log.domain.head import Head
from services.audit.log.domain.leaf import KEY_BYTES, fields_of
from services.audit.log.domain.merkle import HASH_BYTES, Frontier, HashReader, Row, leaf_hash
from services.audit.log.domain.opening import (
    ContentMismatch,
    changed_columns,
    changed_content,
    changed_head,
    changed_leaf,
    is_opened_by,
    matches_columns,
)
from services.audit.log.domain.search import Search
from services.audit.log.ports import NewEntry, OpenedLeaf, PartyLeaf, StoredLeaf

_THE_HEAD = 1
# Entries of a referral that one statement looks at: some milliseconds.
WINDOW: Final = 1_000
_MICROSECOND = dt.timedelta(microseconds=1)

# Statements that an append runs for every entry.
_KNOWN = SqlStatement("SELECT message_id, leaf_index, leaf, head FROM entries WHERE message_id = ANY (?)")
_ADD_ENTRY = SqlStatement(
    "INSERT INTO entries (leaf_index, leaf, message_id, type, time, latest, referral_id, head)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_OPENING = SqlStatement("INSERT INTO openings (leaf_index, salt, data) VALUES (?, ?, ?)")
_ADD_ORGANIZATION = SqlStatement("INSERT INTO organizations (organization, leaf_index) VALUES (?, ?)")
_ADD_FACET = SqlStatement("INSERT INTO facets (facet, value, leaf_index) VALUES (?, ?, ?)")
_ADD_NODES = SqlStatement("INSERT INTO nodes (level, first, hashes) VALUES (?, ?, ?)")

# Each batch runs these once.
_TAG_SECRET = SqlStatement("SELECT secret FROM tag_secret WHERE number = 1")
_READ_HEAD = SqlStatement(
    "SELECT size, frontier, latest, lateness, checkpoint, signed_at FROM head WHERE number = ?"
)
_ADVANCE = SqlStatement(
    "UPDATE head SET size = ?, frontier = ?, latest = ?, lateness = ?, checkpoint = ?, signed_at = ?"
    " WHERE number = ? AND size = ?"
)
_LEAF_BYTES = SqlStatement(
    "SELECT leaf FROM entries WHERE leaf_index >= ? AND leaf_index < ? ORDER BY leaf_index"
)
# Built once: building a statement takes longer than running it on SQLite.
_LEAVES = (
    select(ENTRIES)
    .where(ENTRIES.c.leaf_index >= bindparam("start"), ENTRIES.c.leaf_index < bindparam("stop"))
    .order_by(ENTRIES.c.leaf_index)
)
# The drivers' values: the stored text of the data is what was hashed.
_OPENED_COLUMNS = (
    "SELECT entries.leaf_index, leaf, head, salt, data FROM entries"
    " {} JOIN openings ON openings.leaf_index = entries.leaf_index"
)
_OPENED = SqlStatement(
    _OPENED_COLUMNS.format("LEFT")
    + " WHERE referral_id = ? AND entries.leaf_index >= ? AND entries.leaf_index < ?"
    " AND NOT type = ANY (?)"
    " ORDER BY entries.leaf_index LIMIT ?"
)
# The entry of a referral behind some others.
_BEYOND = SqlStatement(
    "SELECT leaf_index FROM entries WHERE referral_id = ? AND leaf_index >= ? AND leaf_index < ?"
    " ORDER BY leaf_index LIMIT 1 OFFSET ?"
)
_OPENED_AT = SqlStatement(_OPENED_COLUMNS.format("LEFT") + " WHERE entries.leaf_index = ANY (?)")
_CONTENT_SIZES = SqlStatement("SELECT leaf_index, length(data) FROM openings WHERE leaf_index = ANY (?)")
_PARTY_LEAVES = SqlStatement(
    _OPENED_COLUMNS.format("INNER")
    # Searched by primary key: the range is short and contains most types.
    + " WHERE entries.leaf_index >= ? AND entries.leaf_index < ? AND type = ANY (?)"
    " AND referral_id IS NOT NULL ORDER BY entries.leaf_index"
)
# The leaf hash of each entry as it was appended, from the row of nodes that holds it.
_LEAF_HASHES = SqlStatement(
    "SELECT value, (SELECT substr(hashes, CAST(1 + (value - first) * 32 AS INTEGER), 32) FROM nodes"
    " WHERE level = 0 AND first <= value ORDER BY first DESC LIMIT 1) FROM EACH (?)"
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


def _ignore(_damage: str) -> None:
    """Drop the damage: the error that follows is enough."""


class SqlLog:
    """`ports.Log` over the tables of `adapters.tables`."""

    def __init__(self, noticed: Callable[[str], None] = _ignore) -> None:
        """noticed: receives the description of damage found while reading, before the error."""
        self._noticed = noticed

    def head(self, transaction: Connection) -> Head | None:
        """See `ports.Log`."""
        row = _READ_HEAD.run(transaction, _THE_HEAD).one_or_none()
        if row is None:
            return None
        size, frontier, latest, lateness, checkpoint, signed_at = row
        return Head(
            frontier=_frontier(size, bytes(frontier)),
            chronology=Chronology(
                latest=None if latest is None else moment_of(latest), lateness=lateness * _MICROSECOND
            ),
            checkpoint=bytes(checkpoint),
            signed_at=moment_of(signed_at),
        )

    def initialize(self, transaction: Connection, head: Head) -> None:
        """See `ports.Log`."""
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        row = {"number": _THE_HEAD, **_head_columns(head)}
        transaction.execute(dialect.insert(HEAD).values(row).on_conflict_do_nothing())

    def advance(self, transaction: Connection, head: Head, *, from_size: int) -> bool:
        """See `ports.Log`."""
        # On PostgreSQL this waits for a concurrent transaction on the row and then sees its size.
        latest = head.chronology.latest
        swapped = _ADVANCE.run(
            transaction,
            head.size,
            head.frontier.to_bytes(),
            None if latest is None else microseconds(latest),
            head.chronology.lateness // _MICROSECOND,
            head.checkpoint,
            microseconds(head.signed_at),
            _THE_HEAD,
            from_size,
        )
        return swapped.rowcount == 1

    def tag_secret(self, transaction: Connection) -> bytes:
        """See `ports.Log`."""
        secret = stored_bytes(_TAG_SECRET.run(transaction).scalar_one_or_none())
        if secret is None or len(secret) != KEY_BYTES:
            raise Defect("The secret of the log's tags is missing.")
        return secret

    def known(self, transaction: Connection, messages: Sequence[EventIdentity]) -> dict[EventIdentity, int]:
        """See `ports.Log`. The source is in the head; only duplicates have one to read."""
        found = _KNOWN.run(transaction, list({message.id for message in messages}))
        return {
            EventIdentity(fields_of(bytes(leaf), stored_bytes(head))["actor"], id_): index
            for id_, index, leaf, head in found
        }

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
                    new.head,
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
        leaves = [bytes(leaf) for leaf in _LEAF_BYTES.run(transaction, start, stop).scalars()]
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
        found = [_stored(row) for row in rows]
        for leaf in found:
            if not matches_columns(
                leaf.leaf,
                leaf.head,
                message_id=leaf.message_id,
                type=leaf.type,
                referral_id=leaf.referral_id,
                time=leaf.time,
            ):
                self._refuse(changed_columns(leaf.index))
        self._require_logged(transaction, [(leaf.index, leaf.leaf) for leaf in found])
        return found, reached

    def opened_leaves(
        self,
        transaction: Connection,
        referral_id: str,
        *,
        start: int,
        stop: int,
        limit: int,
        without: Collection[str] = (),
    ) -> list[OpenedLeaf]:
        """See `ports.Log`."""
        rows: list[Any] = []
        turn = Turn()
        while start < stop and len(rows) < limit:
            # On SQLite nothing else runs during a statement: it passes over a bounded number of entries.
            beyond = _BEYOND.run(transaction, referral_id, start, stop, WINDOW).scalar_one_or_none()
            end = stop if beyond is None else beyond
            left = limit - len(rows)
            rows += _OPENED.run(transaction, referral_id, start, end, list(without), left).all()
            start = end
            turn.end_if_over()
        found = self._checked(transaction, rows)
        for leaf in found:
            # Otherwise a changed column would show the entry to the parties of another referral.
            if leaf.fields["referral_id"] != referral_id:
                self._refuse(changed_columns(leaf.index))
        return found

    def opened_at(self, transaction: Connection, indices: Sequence[int]) -> dict[int, OpenedLeaf]:
        """See `ports.Log`."""
        rows = _OPENED_AT.run(transaction, list(indices)) if indices else ()
        return {leaf.index: leaf for leaf in self._checked(transaction, rows)}

    def content_sizes(self, transaction: Connection, indices: Sequence[int]) -> dict[int, int]:
        """See `ports.Log`."""
        rows = _CONTENT_SIZES.run(transaction, list(indices)) if indices else ()
        return {row[0]: row[1] for row in rows}

    def party_leaves(
        self, transaction: Connection, types: Sequence[str], *, start: int, stop: int
    ) -> list[PartyLeaf]:
        """See `ports.Log`."""
        found = []
        for index, stored, stored_head, salt, text in _PARTY_LEAVES.run(
            transaction, start, stop, list(types)
        ):
            leaf, head = stored_bytes(stored) or b"", stored_bytes(stored_head)
            if not is_opened_by(leaf, stored_bytes(salt) or b"", text):
                self._noticed(changed_content(index).detail)
                continue
            if not _is_head_of(leaf, head):
                self._noticed(changed_head(index).detail)
                continue
            parties = organizations_of(orjson.loads(text))
            found.append(PartyLeaf(index=index, leaf=leaf, head=head, organizations=parties))
        return found

    def _checked(self, transaction: Connection, rows: Iterable[Sequence[Any]]) -> list[OpenedLeaf]:
        opened = []
        for index, stored, stored_head, salt, text in rows:
            leaf = stored_bytes(stored) or b""
            if salt is not None and not is_opened_by(leaf, stored_bytes(salt) or b"", text):
                self._refuse(changed_content(index))
            data = None if salt is None else orjson.loads(text)
            opened.append(
                OpenedLeaf(
                    index=index, leaf=leaf, head=stored_bytes(stored_head), salt=stored_bytes(salt), data=data
                )
            )
        self._require_logged(transaction, [(leaf.index, leaf.leaf) for leaf in opened])
        for one in opened:
            if not _is_head_of(one.leaf, one.head):
                self._refuse(changed_head(one.index))
        return opened

    def _require_logged(self, transaction: Connection, leaves: Sequence[tuple[int, bytes]]) -> None:
        """Compare leaves with the hashes in the tree. Raises ContentMismatch."""
        if not leaves:
            return
        indices = [index for index, _ in leaves]
        hashes = {row[0]: row[1] for row in _LEAF_HASHES.run(transaction, indices)}
        for index, leaf in leaves:
            logged = hashes.get(index)
            if logged is None or stored_bytes(logged) != leaf_hash(leaf):
                self._refuse(changed_leaf(index))

    def _refuse(self, mismatch: ContentMismatch) -> None:
        self._noticed(mismatch.detail)
        raise mismatch

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


def _is_head_of(leaf: bytes, head: bytes | None) -> bool:
    try:
        fields_of(leaf, head)
    except (ValueError, KeyError):
        return False
    return True


def _stored(row: SqlRow[tuple[object, ...]]) -> StoredLeaf:
    return StoredLeaf(
        index=row.leaf_index,
        leaf=row.leaf,
        head=row.head,
        message_id=row.message_id,
        type=row.type,
        time=row.time,
        latest=row.latest,
        referral_id=row.referral_id,
    )
