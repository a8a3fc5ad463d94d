"""What the service does before it serves: compute the whole log again, and compare.

Reads `entries` and `head`. A hash that was changed in `nodes` makes proofs that no verifier accepts, and
hides nothing. What is kept beside the leaves cannot be checked by them: `openings` may be erased, and a row
missing from `organizations` hides an entry from a search by that party, not from one by its referral.
"""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from contracts.errors import Defect
from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.domain.chronology import Chronology
from services.audit.domain.head import Head, LogKey
from services.audit.domain.merkle import MAX_SIZE, Frontier, leaf_hash
from services.audit.domain.note import NoteError
from services.audit.domain.search import Search
from services.audit.ports import Log, StoredLeaf

# Leaves held at a time, and read in one transaction.
STEP = 5_000


class LogDamaged(Defect):
    """The database does not hold what the checkpoint vouches for. The service must not go on."""


class SelfCheck:
    """Founds the log at the very first start, and looks it over at every other."""

    def __init__(self, database: Database, log: Log, key: LogKey, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._key = key
        self._clock = clock

    def run(self) -> Head:
        """The head, when every entry below it is what was signed for. Raises LogDamaged.

        Takes some seconds for a million entries, and memory for a few thousand.
        """
        with self._database.write() as transaction:
            if self._log.head(transaction) is None:
                self._log.found(transaction, self._key.sign(Frontier(), Chronology(), self._clock.now()))
        with self._database.read() as transaction:
            head = self._log.head(transaction)
            assert head is not None
            self._check_signature(head)
        frontier, chronology = Frontier(), Chronology()
        while frontier.size < head.size:
            with self._database.read() as transaction:
                stop = min(frontier.size + STEP, head.size)
                leaves = self._leaves(transaction, frontier.size, stop)
            for stored in leaves:
                chronology = chronology.after(stored.time)
                if not _files_correctly(stored) or stored.latest != chronology.latest:
                    raise LogDamaged(f"Entry {stored.index} is filed under something that it does not say.")
            frontier = frontier.extend(leaf_hash(stored.leaf) for stored in leaves)
        if frontier != head.frontier:
            raise LogDamaged("The stored entries are not those that the checkpoint vouches for.")
        if chronology != head.chronology:
            raise LogDamaged("The stored head does not know the times of its entries.")
        with self._database.read() as transaction:
            self._check_nothing_follows(transaction)
        return head

    def _check_signature(self, head: Head) -> None:
        try:
            checkpoint = self._key.read(head.checkpoint)
        except NoteError:
            raise LogDamaged("The stored checkpoint was not signed with this log's key.") from None
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
            self._key.origin,
            head.size,
            head.frontier.root(),
        ):
            raise LogDamaged("The stored checkpoint is not that of the stored head.")

    def _leaves(self, transaction: Connection, start: int, stop: int) -> list[StoredLeaf]:
        leaves = self._log.leaves(transaction, start, stop)
        for expected, stored in enumerate(leaves, start):
            if stored.index != expected:
                raise LogDamaged(f"Entry {expected} is missing.")
        if len(leaves) != stop - start:
            raise LogDamaged(f"Entry {start + len(leaves)} is missing.")
        return leaves

    def _check_nothing_follows(self, transaction: Connection) -> None:
        # The head of this very transaction: another process may have appended since.
        head = self._log.head(transaction)
        assert head is not None
        if self._log.search(transaction, Search(), start=head.size, stop=MAX_SIZE, limit=1):
            raise LogDamaged(f"There are entries beyond the {head.size} that the checkpoint vouches for.")


def _files_correctly(stored: StoredLeaf) -> bool:
    """Whether the columns that find the entry say what its leaf says."""
    try:
        leaf: Any = orjson.loads(stored.leaf)
        said = (leaf["message_id"], leaf["type"], leaf["referral_id"], leaf["time"])
    except (ValueError, TypeError, KeyError):
        return False
    time = stored.time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return said == (stored.message_id, stored.type, stored.referral_id, time)
