"""The check at start-up: compares the stored log with its signed checkpoint.

A small log is read completely. For a large log, the prefix that an earlier start verified is stored, and only
the new entries are read: `inspector` reads the rest again while the service runs.

The stored prefix is used only if it can be proved. Together with the new entries it must give the tree of the
signed head, which only the true prefix does. Otherwise it is ignored, and all entries are read. It cannot
prove that the old entries are still intact: the inspector checks that.

Reads `entries` and `head`. A changed hash in `nodes` leads to proofs that no verifier accepts; it cannot hide
anything.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import CheckpointKeys, Head
from services.audit.log.domain.merkle import MAX_SIZE, Frontier
from services.audit.log.domain.note import NoteError
from services.audit.log.domain.opening import ContentMismatch
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

# Leaves per transaction.
STEP = 5_000
# Logs up to this size are read completely at every start, in some tenths of a second.
READ_WHOLE = 20_000


class SelfCheck:
    """Initializes the log at the first start and verifies it at every other start."""

    def __init__(
        self,
        database: Database,
        log: Log,
        key: CheckpointKeys,
        clock: Clock,
        record: CheckRecord | None = None,
    ) -> None:
        """record: results of earlier checks; without it everything is read and nothing stored."""
        self._database = database
        self._log = log
        self._key = key
        self._clock = clock
        self._record = record

    def run(self) -> Head:
        """Verify the log and return its head. Raises LogDamaged, DatabaseDamaged.

        Takes about ten seconds per million entries read, and memory for a few thousand.
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
        """Return the prefix that need not be read again; None when everything must be read."""
        if self._record is None or head.size <= READ_WHOLE:
            return None
        try:
            with self._database.read() as transaction:
                return self._possible(transaction, self._record)
        except UNREADABLE as error:
            _warn_ignored(str(error))
            return None

    def _possible(self, transaction: Connection, record: CheckRecord) -> VerifiedPrefix | None:
        """Return the stored prefix. Raises ValueError when its last entry contradicts it."""
        remembered = record.checked(transaction)
        if remembered is None:
            return None
        size = remembered.prefix.size
        last = self._log.leaves(transaction, size - 1, size)
        if not last or last[0].latest != remembered.prefix.chronology.latest:
            raise ValueError("its last entry is missing or different")
        return remembered

    def _continues(self, remembered: VerifiedPrefix, head: Head) -> bool:
        """Return whether the stored prefix and the new entries give the signed head."""
        try:
            reached = self._read(remembered.prefix, head.size)
        except LogDamaged as damage:
            _warn_ignored(str(damage))
            return False
        if reached != Prefix.of(head):
            _warn_ignored("it does not lead to the signed checkpoint")
            return False
        return True

    def _read_whole(self, head: Head) -> None:
        reached = self._read(Prefix(), head.size)
        if reached.frontier != head.frontier:
            raise LogDamaged("The stored entries do not match the signed checkpoint.")
        if reached.chronology != head.chronology:
            raise LogDamaged("The stored head contradicts the times of its entries.")

    def _read(self, prefix: Prefix, size: int) -> Prefix:
        while prefix.size < size:
            stop = min(prefix.size + STEP, size)
            with read_transaction(self._database, f"Entries {prefix.size} to {stop - 1}") as transaction:
                prefix, _ = verify_entries(self._log, transaction, prefix, stop)
        return prefix

    def _remember(self, remembered: VerifiedPrefix) -> None:
        if self._record is not None:
            with self._database.write() as transaction:
                self._record.keep_checked(transaction, remembered)

    def _check_nothing_follows(self, transaction: Connection) -> None:
        # Read the head in this transaction: another process may be appending.
        head = self._log.head(transaction)
        assert head is not None
        try:
            follows = bool(self._log.search(transaction, Search(), start=head.size, stop=MAX_SIZE, limit=1))
        except ContentMismatch:
            follows = True
        if follows:
            raise LogDamaged(f"There are entries beyond the {head.size} that the checkpoint covers.")


def check_signature(key: CheckpointKeys, head: Head) -> None:
    """Check that the log's key signed the checkpoint of this head. Raises LogDamaged."""
    try:
        checkpoint = key.read(head.checkpoint)
    except NoteError:
        raise LogDamaged("The stored checkpoint was not signed with this log's key.") from None
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (
        key.origin,
        head.size,
        head.frontier.root(),
    ):
        raise LogDamaged("The stored checkpoint does not match the stored head.")


def _warn_ignored(reason: str) -> None:
    _log.warning("the result of earlier checks is ignored; reading all entries", extra={"reason": reason})
