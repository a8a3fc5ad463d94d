"""Stored entries read one after the other: each in its place, filed under what it says, and hashed.

Reads `entries`. What is kept beside the leaves cannot be checked by them: `openings` may be erased, and a row
missing from `organizations` hides an entry from a search by that party, not from one by its referral.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from contracts.errors import Defect
from runtime.storage.database import Database, DatabaseDamaged
from services.audit.log.domain.merkle import HASH_BYTES, Row, leaf_hash
from services.audit.log.domain.prefix import Prefix
from services.audit.log.ports import Log, StoredLeaf


class LogDamaged(Defect):
    """The database does not hold what the checkpoint vouches for."""


# What reading a row raises that holds no value of its columns' types: a text for bytes, a time past the
# calendar's end.
UNREADABLE: Final = (TypeError, ValueError, OverflowError)


@contextmanager
def read_transaction(database: Database, what: str) -> Iterator[Connection]:
    """A read transaction in which a thing that cannot be read raises LogDamaged. what: it is about."""
    try:
        with database.read() as transaction:
            yield transaction
    except (DatabaseDamaged, *UNREADABLE) as error:
        raise LogDamaged(f"What is stored of {what} cannot be read ({type(error).__name__}).") from error


def verify_entries(
    log: Log, transaction: Connection, prefix: Prefix, stop: int
) -> tuple[Prefix, tuple[Row, ...]]:
    """The first `stop` entries, from the prefix on, and the nodes that those read complete.

    Raises LogDamaged for an entry that is missing, or that is filed under something it does not say. Whether
    they are the entries that were signed for is seen by comparing the prefix that comes out.
    """
    leaves = log.leaves(transaction, prefix.size, stop)
    chronology = prefix.chronology
    for expected, stored in enumerate(leaves, prefix.size):
        if stored.index != expected:
            raise LogDamaged(f"Entry {expected} is missing.")
        chronology = chronology.after(stored.time)
        if not _files_correctly(stored) or stored.latest != chronology.latest:
            raise LogDamaged(f"Entry {stored.index} is filed under something that it does not say.")
    if len(leaves) != stop - prefix.size:
        raise LogDamaged(f"Entry {prefix.size + len(leaves)} is missing.")
    frontier, rows = prefix.frontier.grow([leaf_hash(stored.leaf) for stored in leaves])
    return Prefix(frontier=frontier, chronology=chronology), rows


def compare_nodes(log: Log, transaction: Connection, rows: tuple[Row, ...]) -> None:
    """Whether the stored nodes are these. Raises LogDamaged, which names the entry where it can be told.

    The lowest are hashes of the leaves as they were appended: a changed entry is noticed on the spot, and
    not only at the end of the log. Raises Defect for a node that is missing.
    """
    for row in rows:
        stored = log.hashes(transaction, row.level, row.first, row.first + len(row.hashes))
        for at, digest in enumerate(row.hashes):
            if stored[at * HASH_BYTES : (at + 1) * HASH_BYTES] == digest:
                continue
            if row.level == 0:
                raise LogDamaged(f"Entry {row.first + at} is not the one that was logged.")
            first = (row.first + at) << row.level
            raise LogDamaged(f"A node over the entries from {first} on is not that of its entries.")


def _files_correctly(stored: StoredLeaf) -> bool:
    """Whether the columns that find the entry say what its leaf says."""
    try:
        leaf: Any = orjson.loads(stored.leaf)
        said = (leaf["message_id"], leaf["type"], leaf["referral_id"], leaf["time"])
    except (ValueError, TypeError, KeyError):
        return False
    time = stored.time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return said == (stored.message_id, stored.type, stored.referral_id, time)
