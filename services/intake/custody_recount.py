"""The count of the cases in custody and of the notes, corrected from what routing knows of the referrals.

Intake may have missed an end. An earlier build takes `referral.completed` and the others from the queue
`intake.offers` and has no count. A replacement may also be admitted after the end of its referral was read.
"""

from __future__ import annotations

import logging
from typing import Final

from contracts.errors import Refused, Unavailable, drop_frames
from contracts.queries import MOST_ENDED, EndedQuery
from runtime.storage.database import Database
from runtime.turn import in_turns
from services.intake.ports import AdmissionStore, Referrals

_log = logging.getLogger(__name__)

# One page of referrals a run: 26,000 open referrals of one sender, the most of 20 KB, in 45 minutes.
SECONDS_BETWEEN_RUNS: Final = 10.0


class CustodyRecount:
    """One instance a process; any number of processes. `run` is the work of a `periodic.Periodic`."""

    def __init__(self, *, database: Database, store: AdmissionStore, referrals: Referrals) -> None:
        self._database = database
        self._store = store
        self._referrals = referrals
        self._after = ""

    def run(self) -> None:
        """Stop counting cases and notes of ended referrals on the next page; after the last, add up again.

        Raises Unavailable while routing does not reply; the next run asks about the same page.
        """
        with self._database.read() as transaction:
            ids = self._store.counted_referrals(transaction, self._after, MOST_ENDED)
        if ids:
            self._forget_ended(ids)
        if len(ids) == MOST_ENDED:
            self._after = ids[-1]
            return
        self._after = ""
        self._add_up()

    def _forget_ended(self, ids: list[str]) -> None:
        try:
            ended = self._referrals.ask(EndedQuery(ids=tuple(ids)))
        except Refused as refusal:
            # An earlier build of routing does not know the query.
            drop_frames(refusal)
            raise Unavailable("Routing does not answer which referrals have ended.") from None
        if ended:
            with self._database.write() as transaction:
                self._store.end_custody(transaction, ended)
            _log.info("cases and notes of ended referrals are no longer counted", extra={"count": len(ended)})

    def _add_up(self) -> None:
        with self._database.read() as transaction:
            # One snapshot: a sum that is right costs no transaction of its own.
            senders = self._store.miscounted_senders(transaction)
        for sender in in_turns(senders):
            with self._database.write() as transaction:
                change = self._store.recount(transaction, sender)
            if change:
                _log.warning(
                    "the stored sum of a sender's cases differed from their sizes and was corrected",
                    extra={"sender": sender, "change": change},
                )
