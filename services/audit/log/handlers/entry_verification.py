"""Verification of stored entries: sequence, search columns and hashes.

Reads `entries`, whose leaves commit to their heads. The leaves cannot verify the other tables: `openings` may
be erased, and a row missing from `organizations` hides an entry from a search by that party, but not from a
search by referral.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from contracts.errors import Defect
from runtime.storage.database import Database, DatabaseDamaged
from services.audit.log.domain.merkle import HASH_BYTES, Row, leaf_hash
from services.audit.log.domain.opening import matches_columns
from services.audit.log.domain.prefix import Prefix
from services.audit.log.ports import Log, StoredLeaf


class LogDamaged(Defect):
    """The database contradicts the signed checkpoint."""


# Errors from reading a row with a malformed value: text instead of bytes, a time beyond the calendar.
UNREADABLE: Final = (TypeError, ValueError, OverflowError)


@contextmanager
def read_transaction(database: Database, what: str) -> Iterator[Connection]:
    """Open a read transaction that raises LogDamaged for unreadable rows. what: the subject of the error."""
    try:
        with database.read() as transaction:
            yield transaction
    except (DatabaseDamaged, *UNREADABLE) as error:
        raise LogDamaged(f"{what} cannot be read ({type(error).__name__}).") from error


def verify_entries(
    log: Log, transaction: Connection, prefix: Prefix, stop: int
) -> tuple[Prefix, tuple[Row, ...]]:
    """Read the entries from the prefix to `stop`; return the longer prefix and the nodes that they complete.

    Raises LogDamaged for a missing entry, or one whose search columns contradict its leaf. Compare the
    returned prefix with a signed head to verify the leaves themselves.
    """
    leaves = log.leaves(transaction, prefix.size, stop)
    chronology = prefix.chronology
    for expected, stored in enumerate(leaves, prefix.size):
        if stored.index != expected:
            raise LogDamaged(f"Entry {expected} is missing.")
        chronology = chronology.after(stored.time)
        if not _columns_match_leaf(stored) or stored.latest != chronology.latest:
            raise LogDamaged(f"The search columns of entry {stored.index} contradict its leaf.")
    if len(leaves) != stop - prefix.size:
        raise LogDamaged(f"Entry {prefix.size + len(leaves)} is missing.")
    frontier, rows = prefix.frontier.grow([leaf_hash(stored.leaf) for stored in leaves])
    return Prefix(frontier=frontier, chronology=chronology), rows


def compare_nodes(log: Log, transaction: Connection, rows: tuple[Row, ...]) -> None:
    """Compare nodes with the stored ones. Raises LogDamaged, which names the entry if possible.

    The lowest nodes are hashes of the leaves as appended, so a changed entry is found at once and not only at
    the end of the log. Raises Defect for a missing node.
    """
    for row in rows:
        stored = log.hashes(transaction, row.level, row.first, row.first + len(row.hashes))
        for at, digest in enumerate(row.hashes):
            if stored[at * HASH_BYTES : (at + 1) * HASH_BYTES] == digest:
                continue
            if row.level == 0:
                raise LogDamaged(f"Entry {row.first + at} differs from the logged entry.")
            first = (row.first + at) << row.level
            raise LogDamaged(f"A tree node over the entries from {first} on does not match them.")


def _columns_match_leaf(stored: StoredLeaf) -> bool:
    return matches_columns(
        stored.leaf,
        stored.head,
        message_id=stored.message_id,
        type=stored.type,
        referral_id=stored.referral_id,
        time=stored.time,
    )
