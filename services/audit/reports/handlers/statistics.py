"""Statistics over the log, and the entries behind a figure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from contracts.errors import Defect, Refused
from runtime.access.reads import Reader
from runtime.storage.database import Database
from runtime.turn import Turn
from services.audit.log.ports import Log, Search
from services.audit.reports.domain.statistics_counts import (
    CountedReferral,
    Statistics,
    matches,
    statistics_of,
)
from services.audit.reports.handlers.history import History
from services.audit.reports.ports import ReferralReader

SUBMITTED: Final = "kopuro.referral.submitted.v1"
# Referrals read per step. Between steps the sequencer, which shares this process, may run.
STEP: Final = 250
# Takes about fifteen seconds.
MOST_REFERRALS: Final = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """Statistics over the first `size` entries of the log."""

    statistics: Statistics
    size: int


class StatisticsHandler:
    """Computes statistics. Every query is recorded like any other read."""

    def __init__(self, *, database: Database, log: Log, referrals: ReferralReader, history: History) -> None:
        self._database = database
        self._log = log
        self._referrals = referrals
        self._history = history

    def count(self, reader: Reader, by: Sequence[str], time_range: Search, *, exact: bool = False) -> Counted:
        """Return the table of the referrals submitted in the time range. exact: show small figures too.

        Raises Refused `invalid-parameter` for more than MOST_REFERRALS referrals.
        """
        size = self._size()
        # A generator, so that counting proceeds in steps as well.
        referrals = chain.from_iterable(self._read(time_range, size))
        statistics = statistics_of(referrals, by, exact=exact, pause=Turn().end_if_over)
        asked = {"statistics": ",".join(by), **({"exact": "true"} if exact else {}), **time_range.as_asked()}
        self._history.record(reader, None, asked, statistics.referrals)
        return Counted(statistics=statistics, size=size)

    def entries(
        self, reader: Reader, values: Mapping[str, str], time_range: Search, *, start: int, limit: int
    ) -> tuple[list[CountedReferral], int | None]:
        """Return up to `limit` referrals of a figure from entry `start` on, and the next start."""
        found: list[CountedReferral] = []
        following = None
        for step in self._read(time_range, self._size(), start):
            found += [referral for referral in step if matches(referral, values)]
            if len(found) > limit:
                following = found[limit].entries[0]
                break
        page = found[:limit]
        asked = {"statistics": "entries", **values, **time_range.as_asked()}
        self._history.record(reader, None, asked, len(page), [referral.referral_id for referral in page])
        return page, following

    def _read(self, time_range: Search, size: int, start: int = 0) -> Iterator[list[CountedReferral]]:
        search = Search(type=SUBMITTED, since=time_range.since, until=time_range.until)
        count = 0
        while True:
            with self._database.read() as transaction:
                submitted = self._log.search(transaction, search, start=start, stop=size, limit=STEP)
                step = self._referrals.of(transaction, submitted, stop=size) if submitted else []
            count += len(submitted)
            if count > MOST_REFERRALS:
                raise Refused(
                    "invalid-parameter", f"More than {MOST_REFERRALS} referrals match; narrow the time range."
                )
            yield step
            if len(submitted) < STEP:
                return
            start = submitted[-1].index + 1
            _let_others_run()

    def _size(self) -> int:
        with self._database.read() as transaction:
            head = self._log.head(transaction)
        if head is None:
            raise Defect("The log is not initialized.")
        return head.size


def _let_others_run() -> None:
    time.sleep(0)
