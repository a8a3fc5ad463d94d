"""The periods whose digest is written, and the figures of a digest."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from services.routing.adapters.queues import in_queue
from services.routing.adapters.tables import DIGESTS, REFERRALS
from services.routing.domain.coordination_queue import QueueKind


class SqlDigests:
    """See `ports.Digests`."""

    def is_written(self, transaction: Connection, period: str) -> bool:
        """See `ports.Digests`."""
        wanted = select(DIGESTS.c.period).where(DIGESTS.c.period == period)
        return transaction.execute(wanted).one_or_none() is not None

    def record(self, transaction: Connection, period: str, now: dt.datetime) -> bool:
        """See `ports.Digests`."""
        try:
            with transaction.begin_nested():
                transaction.execute(insert(DIGESTS), {"period": period, "written_at": now})
        except IntegrityError:
            return False
        return True

    def waiting(
        self, transaction: Connection, kind: QueueKind, now: dt.datetime
    ) -> tuple[int, dt.datetime | None]:
        """See `ports.Digests`."""
        figures = select(func.count(), func.min(REFERRALS.c.submitted_at)).where(*in_queue(kind, now))
        number, oldest = transaction.execute(figures).one()
        return number, oldest
