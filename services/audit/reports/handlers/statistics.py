"""Statistics over the log, and the entries that a figure was counted from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from contracts.errors import Defect, Refused
from runtime.storage.database import Database
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
# Read in steps, between which the sequencer, which shares this process, has its turn.
STEP: Final = 250
# Some fifteen seconds.
MOST_REFERRALS: Final = 50_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """statistics, of how many referrals, in the first `size` entries of the log."""

    statistics: Statistics
    size: int


class StatisticsHandler:
    """Every question goes on record, like any other read."""

    def __init__(self, *, database: Database, log: Log, referrals: ReferralReader, history: History) -> None:
        self._database = database
        self._log = log
        self._referrals = referrals
        self._history = history

    def count(self, reader: str, by: Sequence[str], span: Search, *, exact: bool = False) -> Counted:
        """The table of the referrals submitted in the span. exact: small figures too, none combined.

        Raises Refused `invalid-parameter` for more referrals than are counted at once.
        """
        size = self._size()
        # Counted as they are read, and so in steps too.
        referrals = chain.from_iterable(self._read(span, size))
        statistics = statistics_of(referrals, by, exact=exact, pause=_let_others_run)
        asked = {"statistics": ",".join(by), **({"exact": "true"} if exact else {}), **span.as_asked()}
        self._history.record(reader, None, asked, statistics.referrals)
        return Counted(statistics=statistics, size=size)

    def entries(
        self, reader: str, values: Mapping[str, str], span: Search, *, start: int, limit: int
    ) -> tuple[list[CountedReferral], int | None]:
        """Up to `limit` referrals that a figure counts, from entry `start` on, and where the next begin."""
        found: list[CountedReferral] = []
        following = None
        for step in self._read(span, self._size(), start):
            found += [referral for referral in step if matches(referral, values)]
            if len(found) > limit:
                following = found[limit].entries[0]
                break
        self._history.record(
            reader, None, {"statistics": "entries", **values, **span.as_asked()}, len(found[:limit])
        )
        return found[:limit], following

    def _read(self, span: Search, size: int, start: int = 0) -> Iterator[list[CountedReferral]]:
        search = Search(type=SUBMITTED, since=span.since, until=span.until)
        count = 0
        while True:
            with self._database.read() as transaction:
                submitted = self._log.search(transaction, search, start=start, stop=size, limit=STEP)
                step = self._referrals.of(transaction, submitted, stop=size) if submitted else []
            count += len(submitted)
            if count > MOST_REFERRALS:
                raise Refused(
                    "invalid-parameter", f"At most {MOST_REFERRALS} referrals are counted: narrow the span."
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
            raise Defect("The log has not been founded.")
        return head.size


def _let_others_run() -> None:
    time.sleep(0)
