"""Which referrals stand on a page of a list: sought in their order, so that a page costs the same for years.

An organisation lists what it sent and what it was asked to take, together, by id. Each of the two is an index
in that order, so the first of both are enough. A status is looked up for each of them, except where few
referrals can have it: those that are under way are found by their status, and then asked whose they are.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, case, false, or_, select, true, union

from services.routing.adapters.tables import OFFERS, REFERRALS
from services.routing.domain.referral import REFERRAL_TRANSITIONS

UNDER_WAY = frozenset(status.value for status, events in REFERRAL_TRANSITIONS.items() if events)


def page_of(*, party: str | None, status: str | None, after: str | None, limit: int) -> Select[Any]:
    """Selects up to `limit` ids above `after`, in order. party: None lists everybody's."""
    if party is None:
        wanted = select(REFERRALS.c.id).where(*_above(REFERRALS.c.id, after))
        if status is not None:
            wanted = wanted.where(REFERRALS.c.status == status)
        return wanted.order_by(REFERRALS.c.id).limit(limit)
    if status in UNDER_WAY:
        return _under_way(party, status, after, limit)
    sent = select(REFERRALS.c.id).where(REFERRALS.c.sender == party, *_above(REFERRALS.c.id, after))
    asked = select(OFFERS.c.referral_id.label("id")).where(
        OFFERS.c.organization == party, *_above(OFFERS.c.referral_id, after)
    )
    if status is not None:
        # Not a bare comparison: the index of statuses would lead through all that ever ended so. And not a
        # disguised one, of which PostgreSQL thinks that one row in two hundred is like that: it would read
        # and sort everything. Of a CASE it thinks that every second one is.
        stands = case((REFERRALS.c.status == status, true()), else_=false())
        sent = sent.where(stands)
        asked = asked.join(REFERRALS, REFERRALS.c.id == OFFERS.c.referral_id).where(stands)
    # The same organisation may have been asked twice.
    firsts = (
        sent.order_by(REFERRALS.c.id).limit(limit).subquery("sent"),
        asked.distinct().order_by(OFFERS.c.referral_id).limit(limit).subquery("asked"),
    )
    both = union(*(select(first.c.id) for first in firsts)).subquery("both")
    return select(both.c.id).order_by(both.c.id).limit(limit)


def _under_way(party: str, status: str | None, after: str | None, limit: int) -> Select[Any]:
    standing = (
        select(REFERRALS.c.id, REFERRALS.c.sender)
        .where(REFERRALS.c.status == status, *_above(REFERRALS.c.id, after))
        .cte("standing")
        .prefix_with("MATERIALIZED")
    )
    # Not `EXISTS`, which PostgreSQL may answer by reading everything that the organisation was ever asked.
    offer = (
        select(OFFERS.c.id)
        .where(OFFERS.c.referral_id == standing.c.id, OFFERS.c.organization == party)
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(standing.c.id)
        .where(or_(standing.c.sender == party, offer.is_not(None)))
        .order_by(standing.c.id)
        .limit(limit)
    )


def _above(column: ColumnElement[str], after: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if after is None else (column > after,)
