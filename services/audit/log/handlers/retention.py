"""Erases what opens the entries of referrals that are over. Leaves stay, and so does every proof."""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import Final

from runtime.clock import Clock
from runtime.storage.database import Database
from services.audit.log.ports import Closures, PublicationRecord

_log = logging.getLogger(__name__)
# So many referrals are erased in one transaction.
STEP: Final = 200
# And so many transactions make a turn: where retention begins on an old log, the service goes on meanwhile.
STEPS_A_TURN: Final = 5


class Retention:
    """Of a withdrawn consent at the next turn; of other referrals when their time has come.

    Erased is what has been published and receipted only, for a receipt is addressed by an entry's content.
    A crash at any point leaves whole what is not erased yet: the next turn goes on there.
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
        """kept: how long after their end, None for ever."""
        self._database = database
        self._closures = closures
        self._record = record
        self._kept = kept
        self._clock = clock
        # What a process that died had erased may still lie in the storage's old pages.
        self._remembered = True

    def turn(self) -> int:
        """Erases what is due, much of it in several turns; how many entries lost their content."""
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
            # SQLite never waits, and so never lets another greenlet run by itself.
            time.sleep(0)
        if erased:
            _log.info("content erased", extra={"count": erased})
        if self._remembered:
            self._remembered = not self._database.checkpoint_wal()
        return erased
