"""Erasure of the content of closed referrals. Leaves and proofs stay."""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import Final

from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.ports import Closures, PublicationRecord

_log = logging.getLogger(__name__)
# Referrals per transaction.
STEP: Final = 200
# Transactions per turn: bounds a turn when retention starts on an old log, so that the service can go on.
STEPS_A_TURN: Final = 5


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
        kept: dt.timedelta | None,
        clock: Clock,
    ) -> None:
        """kept: the retention time after the end of a referral; None: unlimited."""
        self._database = database
        self._closures = closures
        self._record = record
        self._kept = kept
        self._clock = clock
        # Content erased by a process that died may still be in the old pages of the database.
        self._remembered = True

    def turn(self) -> int:
        """Erase due content, at most STEPS_A_TURN steps; return how many entries lost content."""
        erased = 0
        closed_before = None if self._kept is None else self._clock.now() - self._kept
        for _ in range(STEPS_A_TURN):
            with self._database.write() as transaction:
                due = self._closures.due(transaction, closed_before, STEP)
                stop = self._record.processed_size(transaction)
                step = self._closures.erase(transaction, due, stop=stop) if due else 0
            erased += step
            self._remembered = self._remembered or step > 0
            if len(due) < STEP or not step:
                break
            # SQLite calls never yield, so let other greenlets run explicitly.
            time.sleep(0)
        if erased:
            _log.info("content erased", extra={"count": erased})
        if self._remembered:
            self._remembered = not self._database.checkpoint_wal()
        return erased
