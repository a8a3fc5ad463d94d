"""Continuous inspection: verifies the whole log in small pieces, round after round, while the service runs.

This finds damage to old entries, which a start does not read, and to what is stored beside all entries:
openings, search tables and closings (`content_inspection`). Every entry is compared with the tree nodes
that were stored when it was appended, and every round with the signed head.

When a round finds damage, it warns operators and the service continues: new entries and the publication
depend on the stored hashes and not on the damaged rows. The results of earlier checks are deleted, so that
the next start reads everything and refuses. Damage counts as repaired once a complete round or a start finds
none; until then no process records progress.

One of several processes on one database inspects. A process that takes over continues from the progress in
the database and not from its own state at start.

Crash points: progress is written after the entries were read. After a crash it may be outdated, and then some
entries are read again. For the same reason it need not survive a loss of power.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from contracts.errors import Defect
from runtime.clock import Clock
from runtime.storage.database import Database, DatabaseDamaged
from services.audit.log.domain.head import CheckpointKeys, Head
from services.audit.log.domain.merkle import root_at
from services.audit.log.domain.prefix import Prefix
from services.audit.log.handlers.content_inspection import FIRST_PAIR, ContentInspection, ReasonMissing
from services.audit.log.handlers.entry_verification import (
    UNREADABLE,
    LogDamaged,
    compare_nodes,
    read_transaction,
    verify_entries,
)
from services.audit.log.handlers.noticed_damage import NoticedDamage
from services.audit.log.handlers.self_check import check_signature
from services.audit.log.ports import CheckRecord, Log, VerifiedPrefix

_log = logging.getLogger(__name__)

# Entries per turn: some milliseconds, during which nothing else runs. At one turn per second, a million
# entries take little more than an hour.
PIECE: Final = 256
# The minimum time between the starts of two rounds, for small logs.
SHORTEST_ROUND: Final = dt.timedelta(hours=1)
# The progress that a round may lose when the process ends, and the extra entries that a start may read.
PROGRESS_KEPT_EVERY: Final = 64 * PIECE
CHECKED_KEPT_EVERY: Final = 5_000
# How long the entry with the reason for an erasure may take to reach the log.
REASON_EXPECTED_WITHIN: Final = dt.timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Round:
    """A round. reached: verified so far; target: its end; begun: its start; kept: the size last stored.

    walked: the last row of the organisations' table that was compared, after all entries.
    """

    reached: Prefix
    target: Prefix
    begun: dt.datetime
    kept: int
    walked: tuple[str, int] = FIRST_PAIR


class Inspector:
    """Inspects the log. Call `begin` once, then `turn` periodically, never concurrently."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        key: CheckpointKeys,
        record: CheckRecord,
        works: Callable[[], bool],
        clock: Clock,
        noticed: NoticedDamage | None = None,
        contents: ContentInspection | None = None,
    ) -> None:
        """works: whether this process is the inspector. Two at a time do no harm.

        noticed: damage that readers of this process find, reported like that of an inspection. contents:
        compares what is stored beside the log; without it only the log is inspected.
        """
        self._contents = contents
        self._reason_missing_since: dt.datetime | None = None
        self._noticed = noticed or NoticedDamage()
        self._database = database
        self._log = log
        self._key = key
        self._record = record
        self._works = works
        self._clock = clock
        self._is_at_work = False
        self._checked = VerifiedPrefix(prefix=Prefix(), time=clock.now())
        self._round: _Round | None = None
        self._last_begun = self._checked.time
        self._damage: str | None = None

    @property
    def is_damaged(self) -> bool:
        """Whether damage was found and no complete round without findings has followed."""
        return self.alarm() is not None

    @property
    def position(self) -> int:
        """The number of entries that the current round has verified; 0 between rounds."""
        return 0 if self._round is None else self._round.reached.size

    @property
    def since_whole(self) -> dt.timedelta | None:
        """The time since the last complete check began; None while another process inspects."""
        return self._clock.now() - self._checked.time if self._is_at_work else None

    def alarm(self) -> str | None:
        """Return the warning for operators: the damage, or None."""
        return self._damage or self._noticed.description

    @property
    def has_work(self) -> bool:
        """Whether the next turn reads on, or reports damage that a reader has noticed."""
        return self._round is not None or (self._damage is None and self._noticed.description is not None)

    def begin(self, head: Head) -> None:
        """Start from the head that the check at start-up verified."""
        self._checked = VerifiedPrefix(prefix=Prefix.of(head), time=self._clock.now())

    def turn(self) -> None:
        """Verify one piece if one is due. Raises Unavailable."""
        if not self._works():
            self._is_at_work, self._round = False, None
            return
        try:
            if self._damage is None and self._noticed.description is not None:
                # A round under way may have passed the entry already.
                self._report(self._noticed.description)
            if not self._is_at_work:
                self._take_over()
                self._is_at_work = True
            elif self._damage is None:
                self._follow(at_least=CHECKED_KEPT_EVERY)
            self._go_on()
        except (Defect, DatabaseDamaged) as damage:
            self._report(str(damage))

    def _take_over(self) -> None:
        """Continue where the last inspector stopped: this process before a restart, or another one."""
        if self._damage is not None:
            return
        with self._database.read() as transaction:
            checked = _readable(self._record.checked, transaction)
        if checked is None:
            # It was deleted because of damage: begin a round at once.
            self._last_begun = self._clock.now() - SHORTEST_ROUND
            return
        self._checked = replace(self._checked, time=checked.time)
        # A start has just read the log: no round is due at once.
        self._last_begun = checked.time
        self._follow(at_least=1)
        with self._database.read() as transaction:
            broken_off = self._broken_off(transaction)
        if broken_off is None and self._contents is not None:
            # A start reads the entries, but not what is stored beside them.
            self._last_begun = self._clock.now() - SHORTEST_ROUND
        if broken_off is not None:
            reached, begun = broken_off.prefix, broken_off.time
            self._last_begun = begun
            self._round = _Round(reached=reached, target=self._checked.prefix, begun=begun, kept=reached.size)

    def _broken_off(self, transaction: Connection) -> VerifiedPrefix | None:
        """Return the interrupted round to continue, if it is valid for this log."""
        found = _readable(self._record.round, transaction)
        if found is None or found.prefix.size > self._checked.prefix.size:
            return None
        try:
            root = root_at(found.prefix.size, self._log.nodes(transaction))
        except (Defect, *UNREADABLE):
            return None
        return found if root == found.prefix.frontier.root() else None

    def _follow(self, *, at_least: int) -> None:
        """Extend the checked prefix to the head if it has at least `at_least` new entries.

        New entries are not read again at once: this service hashed and stored them in one transaction. The
        stored nodes prove that the log is an extension of the checked prefix.
        """
        before = self._checked.prefix
        with read_transaction(self._database, "The head and the nodes") as transaction:
            head = self._log.head(transaction)
            assert head is not None
            if 0 <= head.size - before.size < at_least:
                return
            check_signature(self._key, head)
            if head.size < before.size:
                raise LogDamaged(f"The log shrank from {before.size} entries to {head.size}.")
            nodes = self._log.nodes(transaction)
            for prefix in (before, Prefix.of(head)):
                if root_at(prefix.size, nodes) != prefix.frontier.root():
                    raise LogDamaged("The log is not an extension of its earlier state.")
        self._checked = VerifiedPrefix(prefix=Prefix.of(head), time=self._checked.time)
        with self._database.write(durable=False) as transaction:
            self._record.extend_checked(transaction, self._checked)

    def _go_on(self) -> None:
        now = self._clock.now()
        if self._round is None:
            # Ignores times in the future: a wrong clock or an attacker must not postpone rounds.
            if dt.timedelta() <= now - self._last_begun < SHORTEST_ROUND:
                return
            self._last_begun = now
            if self._damage is None:
                self._follow(at_least=1)
            self._round = _Round(reached=Prefix(), target=self._checked.prefix, begun=now, kept=0)
        under_way = self._round
        try:
            reached = self._read_piece(under_way)
        except ReasonMissing:
            # The reason is published like every fact; a slow broker is not damage.
            self._reason_missing_since = self._reason_missing_since or now
            if now - self._reason_missing_since < REASON_EXPECTED_WITHIN:
                return
            raise
        self._reason_missing_since = None
        if reached.size == under_way.target.size:
            if (walked := self._walk(under_way)) is not None:
                self._round = replace(under_way, reached=reached, walked=walked)
                return
            self._finish(under_way, reached)
            return
        kept = under_way.kept
        if reached.size - kept >= PROGRESS_KEPT_EVERY:
            kept = reached.size
            with self._database.write(durable=False) as transaction:
                self._record.keep_round(transaction, VerifiedPrefix(prefix=reached, time=under_way.begun))
        self._round = _Round(reached=reached, target=under_way.target, begun=under_way.begun, kept=kept)

    def _read_piece(self, under_way: _Round) -> Prefix:
        start = under_way.reached.size
        stop = min((start // PIECE + 1) * PIECE, under_way.target.size)
        is_filed = self._contents is not None and self._contents.is_filed()
        with read_transaction(self._database, f"Entries {start} to {stop - 1}") as transaction:
            reached, rows = verify_entries(self._log, transaction, under_way.reached, stop)
            compare_nodes(self._log, transaction, rows)
            if self._contents is not None and start < stop:
                self._contents.check(transaction, start, stop, is_filed=is_filed)
        return reached

    def _walk(self, under_way: _Round) -> tuple[str, int] | None:
        """Compare the next rows of the organisations' table; return the last one, None at the end."""
        if self._contents is None:
            return None
        with read_transaction(self._database, "The organisations of entries") as transaction:
            return self._contents.walk(transaction, under_way.walked, under_way.target.size)

    def _finish(self, under_way: _Round, reached: Prefix) -> None:
        if reached != under_way.target:
            raise LogDamaged("The stored entries do not match the signed checkpoint.")
        self._round = None
        if self._damage is not None:
            _log.info("log inspection found no damage; an earlier alarm is cleared")
            self._damage = None
            self._noticed.clear()
        self._follow(at_least=1)
        self._checked = VerifiedPrefix(prefix=self._checked.prefix, time=under_way.begun)
        with self._database.write(durable=False) as transaction:
            self._record.forget_round(transaction)
            self._record.keep_checked(transaction, self._checked)

    def _report(self, damage: str) -> None:
        self._damage = damage
        _log.error("the log is damaged", extra={"reason": damage})
        with self._database.write() as transaction:
            self._record.forget_round(transaction)
            self._record.forget_checked(transaction)
        # Only after the records are deleted: if that fails, the next turn finds the damage again.
        self._round = None


def _readable(
    read: Callable[[Connection], VerifiedPrefix | None], transaction: Connection
) -> VerifiedPrefix | None:
    try:
        return read(transaction)
    except ValueError:
        return None
