"""Queries about the whole network: what would place the unplaced referrals, and where help is lacking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from runtime.storage.database import Database
from services.routing.domain.coordination_queue import QueueFilter, QueueKind, position_in_queue
from services.routing.domain.coverage import Coverage, CoverageFilter, coverage
from services.routing.domain.decision import Decision
from services.routing.domain.referral import Referral
from services.routing.domain.wishes import Wish, ranked_wishes
from services.routing.handlers.turns import in_turns
from services.routing.live_directory import LiveDirectory
from services.routing.ports import ReferralStore

# The most unplaced referrals that one query considers: the most urgent and oldest. Each costs a decision for
# the wishes, and a read for the coverage.
WISHES_CONSIDER, COVERAGE_CONSIDERS = 500, 5_000
_PAGE = 200


class NetworkQueries:
    """Reads only. Every method raises DatabaseUnavailable."""

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        network: LiveDirectory,
        consider: Callable[[Referral, dt.datetime, str | None], Decision],
    ) -> None:
        """consider: the decision that a search would make at a time."""
        self._database = database
        self._store = store
        self._network = network
        self._consider = consider

    def wishes(self, now: dt.datetime, wanted: QueueFilter) -> tuple[list[Wish], int]:
        """Return the ranked wishes, and how many referrals were considered; the parts of one count once."""
        referrals = list(in_turns(self._unplaced(now, wanted, WISHES_CONSIDER)))
        decided = ((whole_id(one), one.facts, self._consider(one, now, None)) for one in in_turns(referrals))
        return ranked_wishes(decided), len({whole_id(one) for one in referrals})

    def coverage(self, now: dt.datetime, wanted: CoverageFilter) -> list[Coverage]:
        """Return the cells of the coverage, by region, need and language."""
        unplaced = self._unplaced(now, QueueFilter(region=wanted.region), COVERAGE_CONSIDERS)
        return coverage(
            self._network.directory.all_offered_services(),
            (referral.facts for referral in unplaced),
            self._network.observed,
            now,
            wanted,
            in_turns,
        )

    def _unplaced(self, now: dt.datetime, wanted: QueueFilter, most: int) -> Iterator[Referral]:
        after = None
        with self._database.read() as transaction:
            while most > 0:
                limit = min(_PAGE, most)
                page = self._store.coordination_page(
                    transaction, QueueKind.unplaced, now, wanted, after=after, limit=limit
                )
                yield from page
                if len(page) < limit:
                    return
                after, most = position_in_queue(page[-1]), most - limit


def whole_id(referral: Referral) -> str:
    """Return the id under which a person's referral counts: that of the whole for a part."""
    return referral.id if referral.part is None else referral.part.referral_id
