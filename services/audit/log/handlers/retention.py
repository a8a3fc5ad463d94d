"""Erasure of the content of closed referrals. Leaves and proofs stay."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.facts import ContentErased, Fact
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database
from services.audit.log.domain.merkle import MAX_SIZE
from services.audit.log.domain.opening import ContentMismatch
from services.audit.log.domain.retention import PERMITTING_TYPES, erasure_reason
from services.audit.log.handlers.noticed_damage import NoticedDamage
from services.audit.log.ports import Closures, Contents, Log, PublicationRecord, Search

_log = logging.getLogger(__name__)
# Referrals per transaction.
STEP: Final = 200
# Transactions per turn: bounds a turn when retention starts on an old log, so that the service can continue.
STEPS_A_TURN: Final = 5
# Entries of one referral that are searched for the reason; it has some tens.
MOST_ENTRIES: Final = 1_000  # of one type


class Retention:
    """Erases content on the next turn after a withdrawn consent, otherwise when the retention time is over.

    Erases only entries whose receipts have been written, because the content names the recipients. After a
    crash at any point, the next turn continues.
    """

    def __init__(
        self,
        *,
        database: Database,
        closures: Closures,
        record: PublicationRecord,
        log: Log,
        contents: Contents,
        outbox: Outbox,
        noticed: NoticedDamage,
        source: str,
        after_commit: Callable[[], None],
        kept: dt.timedelta | None,
        clock: Clock,
    ) -> None:
        """kept: the retention time after the end of a referral; None: unlimited.

        source: the CloudEvents source of this service. noticed: receives closings without an entry.
        """
        self._log = log
        self._contents = contents
        self._outbox = outbox
        self._noticed = noticed
        self._source = source
        self._after_commit = after_commit
        self._database = database
        self._closures = closures
        self._record = record
        self._kept = kept
        self._clock = clock
        # Content erased by a process that died may still be in the old pages of the database.
        self._remembered = True

    @property
    def is_unfinished(self) -> bool:
        """Whether erased content may still be in old pages of the database."""
        return self._remembered

    def turn(self) -> int:
        """Erase due content, at most STEPS_A_TURN steps; return how many entries lost content."""
        erased = 0
        closed_before = None if self._kept is None else self._clock.now() - self._kept
        for _ in range(STEPS_A_TURN):
            with self._database.write() as transaction:
                due = self._closures.due(transaction, closed_before, STEP)
                stop = self._record.processed_size(transaction)
                reasons = self._reasons(transaction, due, closed_before)
                lost = self._closures.erase(transaction, list(reasons), stop=stop) if reasons else {}
                facts = [
                    ContentErased(referral_id=number, reason=reasons[number], entries=entries, stop=stop)
                    for number, entries in sorted(lost.items())
                ]
                # In the same transaction: no content is missing without a reason in transit to the log.
                self._outbox.add(transaction, [outgoing(self._event(fact)) for fact in facts])
            step = sum(lost.values())
            erased += step
            self._remembered = self._remembered or step > 0
            if len(due) < STEP or not step:
                break
            # SQLite calls never yield, so let other greenlets run explicitly.
            time.sleep(0)
        if erased:
            self._after_commit()
            _log.info("content erased", extra={"count": erased})
        if self._remembered:
            self._remembered = not self._database.checkpoint_wal()
        return erased

    def _reasons(
        self, transaction: Connection, due: Sequence[str], closed_before: dt.datetime | None
    ) -> dict[str, str]:
        """Return why the content of each referral may be erased, according to the log.

        The closings are only an index: a row that an attacker added must not make the log erase content and
        sign for it.
        """
        reasons = {}
        for referral_id in due:
            reason = self._reason(transaction, referral_id, closed_before)
            if reason is None:
                self._noticed.note(f"The log has no entry that permits erasing the referral {referral_id}.")
            else:
                reasons[referral_id] = reason
        return reasons

    def _reason(
        self, transaction: Connection, referral_id: str, closed_before: dt.datetime | None
    ) -> str | None:
        # Found by type: however many reads of the referral there are, they hide no closing.
        try:
            indices = [
                found.index
                for type_ in sorted(PERMITTING_TYPES)
                for found in self._log.search(
                    transaction,
                    Search(referral_id=referral_id, type=type_),
                    start=0,
                    stop=MAX_SIZE,
                    limit=MOST_ENTRIES,
                )
            ]
            leaves = self._log.opened_at(transaction, indices).values()
        except ContentMismatch:
            return None
        found = set()
        first = self._contents.first_of_type(transaction, ContentErased.type)
        for opened in leaves:
            leaf = opened.fields
            time = dt.datetime.fromisoformat(leaf["time"])
            earlier = first is None or opened.index < first
            found.add(
                erasure_reason(leaf["type"], referral_id, time, opened.data, closed_before, earlier=earlier)
            )
        return next((reason for reason in ("consent_revoked", "retention") if reason in found), None)

    def _event(self, fact: ContentErased) -> Event[Fact]:
        number = new_id()
        return Event(
            id=number,
            source=self._source,
            time=self._clock.now(),
            partition_key=fact.referral_id,
            correlation_id=number,
            causation_id=None,
            data=fact,
        )
