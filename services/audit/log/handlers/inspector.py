"""Reads the whole log again and again, a little at a time, while the service runs.

So damage to an old entry is found though a start does not read it. Every entry is held against the nodes
that were stored when it was appended, and every round against the signed head.

A round that found damage is told to operators and the service goes on: what it appends hangs on the hashes
of what was there, not on the damaged rows, and so does what it publishes. But what earlier checks have read
is forgotten, so that the next start reads everything, and refuses. The damage counts as mended when a round
from the first entry on has found none, or a start; until then nothing counts as read, whoever inspects.

Of several processes on one database one inspects. Another that takes over goes on from what the database
says, and not from what it knew when it started itself.

The crash points: what is remembered is written after what it says has been read, so it is at worst old, and
then more is read than necessary. It may be lost with the power for the same reason.
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
from services.audit.log.domain.head import Head, LogKey
from services.audit.log.domain.merkle import root_at
from services.audit.log.domain.prefix import Prefix
from services.audit.log.handlers.entry_verification import (
    UNREADABLE,
    LogDamaged,
    compare_nodes,
    read_transaction,
    verify_entries,
)
from services.audit.log.handlers.self_check import check_signature
from services.audit.log.ports import CheckRecord, Log, VerifiedPrefix

_log = logging.getLogger(__name__)

# Read in a turn: some milliseconds, during which nothing else runs. A turn a second makes that a million
# entries in little more than an hour.
PIECE: Final = 256
# A small log is not read again the moment that it has been read.
SHORTEST_ROUND: Final = dt.timedelta(hours=1)
# How much of its way a round may lose when the process ends, and how much more the next start may read.
PROGRESS_KEPT_EVERY: Final = 64 * PIECE
CHECKED_KEPT_EVERY: Final = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Round:
    """reached: what has been read; target: where it ends; begun: when; kept: its size when last stored."""

    reached: Prefix
    target: Prefix
    begun: dt.datetime
    kept: int


class Inspector:
    """`turn` is called again and again, never twice at a time, after one `begin`."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        key: LogKey,
        record: CheckRecord,
        works: Callable[[], bool],
        clock: Clock,
    ) -> None:
        """works: whether this process is the one that inspects. When for a moment two do, each is right."""
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
        """Whether damage was found that no whole round has found mended since."""
        return self._damage is not None

    @property
    def position(self) -> int:
        """How many entries the round under way has read; 0 between two rounds."""
        return 0 if self._round is None else self._round.reached.size

    @property
    def since_whole(self) -> dt.timedelta | None:
        """How long ago all entries had been read, at a start or by a round; None where another inspects."""
        return self._clock.now() - self._checked.time if self._is_at_work else None

    def alarm(self) -> str | None:
        """For operators: what is damaged, or None."""
        return self._damage

    def begin(self, head: Head) -> None:
        """After the check at the start, whose head this is."""
        self._checked = VerifiedPrefix(prefix=Prefix.of(head), time=self._clock.now())

    def turn(self) -> None:
        """Reads one piece, if it is time for one. Raises Unavailable."""
        if not self._works():
            self._is_at_work, self._round = False, None
            return
        try:
            if not self._is_at_work:
                self._take_over()
                self._is_at_work = True
            elif self._damage is None:
                self._follow(at_least=CHECKED_KEPT_EVERY)
            self._go_on()
        except (Defect, DatabaseDamaged) as damage:
            self._report(str(damage))

    def _take_over(self) -> None:
        """Goes on where the last one stopped that inspected: this process before a restart, or another."""
        if self._damage is not None:
            return
        with self._database.read() as transaction:
            checked = _readable(self._record.checked, transaction)
        if checked is None:
            # It was forgotten, for damage: a round begins at once.
            self._last_begun = self._clock.now() - SHORTEST_ROUND
            return
        self._checked = replace(self._checked, time=checked.time)
        # What was read at a start needs no round at once.
        self._last_begun = checked.time
        self._follow(at_least=1)
        with self._database.read() as transaction:
            broken_off = self._broken_off(transaction)
        if broken_off is not None:
            reached, begun = broken_off.prefix, broken_off.time
            self._last_begun = begun
            self._round = _Round(reached=reached, target=self._checked.prefix, begun=begun, kept=reached.size)

    def _broken_off(self, transaction: Connection) -> VerifiedPrefix | None:
        """The round to go on with, if there is one that can be of this log."""
        found = _readable(self._record.round, transaction)
        if found is None or found.prefix.size > self._checked.prefix.size:
            return None
        try:
            root = root_at(found.prefix.size, self._log.nodes(transaction))
        except (Defect, *UNREADABLE):
            return None
        return found if root == found.prefix.frontier.root() else None

    def _follow(self, *, at_least: int) -> None:
        """Lets what is remembered grow with the log, when by so many entries.

        What was appended since the start is not read again at once: this service hashed it and stored it in
        one transaction. That the log has grown out of what was checked is proved from its nodes.
        """
        before = self._checked.prefix
        with read_transaction(self._database, "the head and the nodes") as transaction:
            head = self._log.head(transaction)
            assert head is not None
            if 0 <= head.size - before.size < at_least:
                return
            check_signature(self._key, head)
            if head.size < before.size:
                raise LogDamaged(f"The log has gone back from {before.size} entries to {head.size}.")
            nodes = self._log.nodes(transaction)
            for prefix in (before, Prefix.of(head)):
                if root_at(prefix.size, nodes) != prefix.frontier.root():
                    raise LogDamaged("The log has not grown out of what it was.")
        self._checked = VerifiedPrefix(prefix=Prefix.of(head), time=self._checked.time)
        with self._database.write(durable=False) as transaction:
            self._record.extend_checked(transaction, self._checked)

    def _go_on(self) -> None:
        now = self._clock.now()
        if self._round is None:
            # A time to come is not believed: a clock was wrong, or somebody wished for no more rounds.
            if dt.timedelta() <= now - self._last_begun < SHORTEST_ROUND:
                return
            self._last_begun = now
            if self._damage is None:
                self._follow(at_least=1)
            self._round = _Round(reached=Prefix(), target=self._checked.prefix, begun=now, kept=0)
        under_way = self._round
        reached = self._read_piece(under_way)
        if reached.size == under_way.target.size:
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
        with read_transaction(self._database, f"the entries {start} to {stop - 1}") as transaction:
            reached, rows = verify_entries(self._log, transaction, under_way.reached, stop)
            compare_nodes(self._log, transaction, rows)
        return reached

    def _finish(self, under_way: _Round, reached: Prefix) -> None:
        if reached != under_way.target:
            raise LogDamaged("The stored entries are not those that the checkpoint vouches for.")
        self._round = None
        if self._damage is not None:
            _log.info("the log is whole again")
            self._damage = None
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
        # Not before it is forgotten: where that fails, the next turn comes upon the damage again.
        self._round = None


def _readable(
    read: Callable[[Connection], VerifiedPrefix | None], transaction: Connection
) -> VerifiedPrefix | None:
    try:
        return read(transaction)
    except ValueError:
        return None
