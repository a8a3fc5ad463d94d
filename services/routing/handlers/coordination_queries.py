"""The coordinators' queries: their queues, and which organisations could take a referral now."""

from __future__ import annotations

import datetime as dt
from typing import Any

from runtime.storage.database import Database
from services.routing.domain.coordination_queue import (
    QueueFilter,
    QueueKind,
    QueuePosition,
    position_in_queue,
    queue_item,
)
from services.routing.ports import ReferralStore


class CoordinationQueries:
    """Reads only. Every method raises DatabaseUnavailable."""

    def __init__(self, *, database: Database, store: ReferralStore) -> None:
        self._database = database
        self._store = store

    def queue(
        self,
        kind: QueueKind,
        now: dt.datetime,
        wanted: QueueFilter,
        *,
        after: QueuePosition | None,
        limit: int,
    ) -> tuple[list[dict[str, Any]], QueuePosition | None]:
        """Return up to `limit` items of a queue, and the last one's position if more follow."""
        with self._database.read() as transaction:
            found = self._store.coordination_page(
                transaction, kind, now, wanted, after=after, limit=limit + 1
            )
        page = found[:limit]
        last = position_in_queue(page[-1]) if len(found) > limit else None
        return [queue_item(referral, kind, now) for referral in page], last
