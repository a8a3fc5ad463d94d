"""`ports.Contents` in SQL: raw reads of the tables beside the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from runtime.storage.columns import stored_bytes
from runtime.storage.sql_statement import SqlStatement
from services.audit.log.domain.facets import Facet
from services.audit.log.ports import StoredContent

_STORED = SqlStatement(
    "SELECT entries.leaf_index, leaf, head, salt, data FROM entries"
    " LEFT JOIN openings ON openings.leaf_index = entries.leaf_index"
    " WHERE entries.leaf_index >= ? AND entries.leaf_index < ? ORDER BY entries.leaf_index"
)
_FACETS = SqlStatement("SELECT leaf_index, facet, value FROM facets WHERE leaf_index >= ? AND leaf_index < ?")
_FOUND_BY = SqlStatement(
    "SELECT organization, leaf_index FROM organizations"
    " WHERE organization = ANY (?) AND leaf_index >= ? AND leaf_index < ?"
)
_PAIRS = SqlStatement(
    "SELECT organization, leaf_index FROM organizations WHERE (organization, leaf_index) > (?, ?)"
    " ORDER BY organization, leaf_index LIMIT ?"
)
_OPENINGS = SqlStatement("SELECT leaf_index, data FROM openings WHERE leaf_index = ANY (?)")
_CLOSURES = SqlStatement("SELECT referral_id, revoked FROM closures WHERE referral_id = ANY (?)")
_OF_TYPES = SqlStatement(
    "SELECT leaf_index FROM entries WHERE referral_id = ANY (?) AND type = ANY (?) ORDER BY leaf_index"
)
_FIRST_OF_TYPE = SqlStatement("SELECT min(leaf_index) FROM entries WHERE type = ?")
_UNFILED = SqlStatement("SELECT start, stop FROM unfiled WHERE number = 1")


class SqlContents:
    """`ports.Contents` over the tables of `adapters.tables`."""

    def stored(self, transaction: Connection, start: int, stop: int) -> list[StoredContent]:
        """See `ports.Contents`."""
        facets: dict[int, set[Facet]] = defaultdict(set)
        for index, facet, value in _FACETS.run(transaction, start, stop):
            facets[index].add((facet, value))
        return [
            StoredContent(
                index=index,
                leaf=stored_bytes(leaf) or b"",
                head=stored_bytes(head),
                salt=stored_bytes(salt),
                text=text,
                facets=frozenset(facets[index]),
            )
            for index, leaf, head, salt, text in _STORED.run(transaction, start, stop)
        ]

    def found_by(
        self, transaction: Connection, organizations: Collection[str], start: int, stop: int
    ) -> set[tuple[str, int]]:
        """See `ports.Contents`."""
        rows = _FOUND_BY.run(transaction, sorted(organizations), start, stop) if organizations else ()
        return {(organization, index) for organization, index in rows}

    def pairs(self, transaction: Connection, after: tuple[str, int], limit: int) -> list[tuple[str, int]]:
        """See `ports.Contents`."""
        return [(row[0], row[1]) for row in _PAIRS.run(transaction, *after, limit)]

    def openings(self, transaction: Connection, indices: Sequence[int]) -> dict[int, str]:
        """See `ports.Contents`."""
        rows = _OPENINGS.run(transaction, list(indices)) if indices else ()
        return {row[0]: row[1] for row in rows}

    def closures(self, transaction: Connection, referral_ids: Collection[str]) -> dict[str, bool]:
        """See `ports.Contents`."""
        rows = _CLOSURES.run(transaction, sorted(referral_ids)) if referral_ids else ()
        return {row[0]: row[1] == 1 for row in rows}

    def of_types(
        self, transaction: Connection, referral_ids: Collection[str], types: Collection[str]
    ) -> list[int]:
        """See `ports.Contents`."""
        rows = _OF_TYPES.run(transaction, sorted(referral_ids), sorted(types)) if referral_ids else ()
        return [row[0] for row in rows]

    def first_of_type(self, transaction: Connection, type: str) -> int | None:
        """See `ports.Contents`."""
        index: int | None = _FIRST_OF_TYPE.run(transaction, type).scalar()
        return index

    def unfiled(self, transaction: Connection) -> range:
        """See `ports.Contents`."""
        row = _UNFILED.run(transaction).one_or_none()
        return range(0) if row is None else range(row[0], row[1])
