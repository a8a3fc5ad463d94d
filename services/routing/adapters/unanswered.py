"""The emergencies that were reported as unanswered, so that one wait is reported once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, Select, delete, func, insert, literal_column, select

from services.routing.adapters.tables import OFFERS, REFERRALS, UNANSWERED

# The indexes `referrals_queue` and `referrals_emergencies` have them in this order, without closed referrals.
# The literal is necessary: SQLite does not recognise a parameter.
_WAITS = (REFERRALS.c.priority.op("=")(literal_column("0")), REFERRALS.c.status == "offered")
_oldest_offer = (
    select(func.min(OFFERS.c.opened_at))
    .where(OFFERS.c.referral_id == REFERRALS.c.id, OFFERS.c.state == "open")
    .scalar_subquery()
)


def due_emergencies(opened_by: dt.datetime, limit: int) -> Select[str]:
    """Select the ids of emergencies whose oldest open offer was opened by then, and after their report."""
    reported = select(UNANSWERED.c.referral_id).where(
        UNANSWERED.c.referral_id == REFERRALS.c.id, UNANSWERED.c.reported_at >= _oldest_offer
    )
    return (
        select(REFERRALS.c.id)
        .where(*_WAITS, ~reported.exists(), _oldest_offer <= opened_by)
        .order_by(REFERRALS.c.priority, REFERRALS.c.turn_at, REFERRALS.c.id)
        .limit(limit)
    )


class SqlUnansweredEmergencies:
    """See `ports.UnansweredEmergencies`."""

    def due(self, transaction: Connection, opened_by: dt.datetime, limit: int) -> list[str]:
        """See `ports.UnansweredEmergencies`."""
        return list(transaction.execute(due_emergencies(opened_by, limit)).scalars())

    def over(self, transaction: Connection, limit: int) -> list[str]:
        """See `ports.UnansweredEmergencies`."""
        waits = select(REFERRALS.c.id).where(REFERRALS.c.id == UNANSWERED.c.referral_id, *_WAITS)
        wanted = select(UNANSWERED.c.referral_id).where(~waits.exists()).limit(limit)
        return list(transaction.execute(wanted).scalars())

    def note(self, transaction: Connection, waiting: Mapping[str, dt.datetime], now: dt.datetime) -> set[str]:
        """See `ports.UnansweredEmergencies`."""
        noted = select(UNANSWERED.c.referral_id, UNANSWERED.c.reported_at).where(
            UNANSWERED.c.referral_id.in_(waiting)
        )
        reported = dict(transaction.execute(noted).all())
        new = {one for one, since in waiting.items() if one not in reported or reported[one] < since}
        if new:
            transaction.execute(delete(UNANSWERED).where(UNANSWERED.c.referral_id.in_(new & set(reported))))
            rows = [{"referral_id": one, "reported_at": now} for one in sorted(new)]
            transaction.execute(insert(UNANSWERED), rows)
        return new

    def forget(self, transaction: Connection, referral_ids: Collection[str]) -> list[str]:
        """See `ports.UnansweredEmergencies`."""
        gone = delete(UNANSWERED).where(UNANSWERED.c.referral_id.in_(referral_ids))
        return sorted(transaction.execute(gone.returning(UNANSWERED.c.referral_id)).scalars())
