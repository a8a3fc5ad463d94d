"""What the service does before it serves: hold the stored log against what was signed for it.

A small log is read whole. Of a large one, what was read at an earlier start is remembered, and only what is
new is read: `inspector` goes through the rest again while the service runs.

The remembered prefix is believed only as far as it can be proved. The new entries, appended to it, must give
the tree that the signed head vouches for, and no other prefix than the true one can do that. Where it does
not, it counts for nothing, and all entries are read. What it cannot prove is that the old entries still lie
there as they did: that is what the inspector is for.

Reads `entries` and `head`. A hash that was changed in `nodes` makes proofs that no verifier accepts, and
hides nothing.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import Head, LogKey
from services.audit.log.domain.merkle import MAX_SIZE, Frontier
from services.audit.log.domain.note import NoteError
from services.audit.log.domain.prefix import Prefix
from services.audit.log.domain.search import Search
from services.audit.log.handlers.entry_verification import (
    UNREADABLE,
    LogDamaged,
    read_transaction,
    verify_entries,
)
from services.audit.log.ports import CheckRecord, Log, VerifiedPrefix

__all__ = ["LogDamaged", "SelfCheck", "check_signature"]

_log = logging.getLogger(__name__)

# Leaves held at a time, and read in one transaction.
STEP = 5_000
# Up to so many entries are read at every start: some tenths of a second.
READ_WHOLE = 20_000


class SelfCheck:
    """Founds the log at the very first start, and looks it over at every other."""

    def __init__(
        self, database: Database, log: Log, key: LogKey, clock: Clock, record: CheckRecord | None = None
    ) -> None:
        """record: what earlier checks have read; without it everything is read, and nothing remembered."""
        self._database = database
        self._log = log
        self._key = key
        self._clock = clock
        self._record = record

    def run(self) -> Head:
        """The head, when the entries below it are what was signed for. Raises LogDamaged, DatabaseDamaged.

        Takes some ten seconds for a million entries that have to be read, and memory for a few thousand.
        """
        with self._database.write() as transaction:
            if self._log.head(transaction) is None:
                self._log.initialize(transaction, self._key.sign(Frontier(), Chronology(), self._clock.now()))
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        assert head is not None
        check_signature(self._key, head)
        remembered = self._remembered(head)
        if remembered is None or not self._continues(remembered, head):
            self._read_whole(head)
            remembered = VerifiedPrefix(prefix=Prefix(), time=self._clock.now())
        with self._database.read() as transaction:
            self._check_nothing_follows(transaction)
        self._remember(VerifiedPrefix(prefix=Prefix.of(head), time=remembered.time))
        return head

    def _remembered(self, head: Head) -> VerifiedPrefix | None:
        """What need not be read again; None when everything must be."""
        if self._record is None or head.size <= READ_WHOLE:
            return None
        try:
            with self._database.read() as transaction:
                return self._possible(transaction, self._record)
        except UNREADABLE as error:
            _disbelieve(str(error))
            return None

    def _possible(self, transaction: Connection, record: CheckRecord) -> VerifiedPrefix | None:
        """What is remembered. Raises ValueError when a look at its end shows that it cannot be so."""
        remembered = record.checked(transaction)
        if remembered is None:
            return None
        size = remembered.prefix.size
        last = self._log.leaves(transaction, size - 1, size)
        if not last or last[0].latest != remembered.prefix.chronology.latest:
            raise ValueError("its last entry is not there")
        return remembered

    def _continues(self, remembered: VerifiedPrefix, head: Head) -> bool:
        """Whether the entries that are new make of the remembered ones what was signed for."""
        try:
            reached = self._read(remembered.prefix, head.size)
        except LogDamaged as damage:
            _disbelieve(str(damage))
            return False
        if reached != Prefix.of(head):
            _disbelieve("with what is new it does not give what was signed for")
            return False
        return True

    def _read_whole(self, head: Head) -> None:
        reached = self._read(Prefix(), head.size)
        if reached.frontier != head.frontier:
            raise LogDamaged("The stored entries are not those that the checkpoint vouches for.")
        if reached.chronology != head.chronology:
            raise LogDamaged("The stored head does not know the times of its entries.")

    def _read(self, prefix: Prefix, size: int) -> Prefix:
        while prefix.size < size:
            stop = min(prefix.size + STEP, size)
            with read_transaction(self._database, f"the entries {prefix.size} to {stop - 1}") as transaction:
                prefix, _ = verify_entries(self._log, transaction, prefix, stop)
        return prefix

    def _remember(self, remembered: VerifiedPrefix) -> None:
        if self._record is not None:
            with self._database.write() as transaction:
                self._record.keep_checked(transaction, remembered)

    def _check_nothing_follows(self, transaction: Connection) -> None:
        # The head as this very transaction sees it: another process may have appended, and may be appending.
        head = self._log.head(transaction)
        assert head is not None
        if self._log.search(transaction, Search(), start=head.size, stop=MAX_SIZE, limit=1):
            raise LogDamaged(f"There are entries beyond the {head.size} that the checkpoint vouches for.")


def check_signature(key: LogKey, head: Head) -> None:
    """Whether the log's key has signed for this head. Raises LogDamaged."""
    try:
        checkpoint = key.read(head.checkpoint)
    except NoteError:
        raise LogDamaged("The stored checkpoint was not signed with this log's key.") from None
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
        key.origin,
        head.size,
        head.frontier.root(),
    ):
        raise LogDamaged("The stored checkpoint is not that of the stored head.")


def _disbelieve(reason: str) -> None:
    _log.warning("what earlier checks have read is not believed; all is read", extra={"reason": reason})
