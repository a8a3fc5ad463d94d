"""Queries for one page of referral ids, in index order, so that a page's cost does not grow with the table.

An organisation's list merges the referrals that it sent and those that it was offered, by id. Each has an
index in that order, so the first rows of both suffice. A filter by a final status is checked row by row. Open
statuses are rare, so a filter by one starts from the status index and then checks the party. A filter leaves
out the referrals in which the organisation's part has ended: it would reveal how they continue.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, or_, select, true, union

from services.routing.adapters.tables import OFFERS, REFERRALS
from services.routing.domain.fact_readers import HAS_PART
from services.routing.domain.referral import REFERRAL_TRANSITIONS

UNDER_WAY = frozenset(status.value for status, events in REFERRAL_TRANSITIONS.items() if events)

_HAS_PART = OFFERS.c.state.in_(sorted(state.value for state in HAS_PART))


def page_of(*, party: str | None, status: str | None, after: str | None, limit: int) -> Select[Any]:
    """Select up to `limit` ids above `after`, in order. party: None lists all parties'."""
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
        # A plain comparison would use the status index and read all referrals that ever ended with that
        # status. For other equivalent forms PostgreSQL estimates a selectivity of 1/200, and would read and
        # sort everything; for a CASE it estimates 1/2.
        stands = case((REFERRALS.c.status == status, true()), else_=false())
        sent = sent.where(stands)
        asked = asked.join(REFERRALS, REFERRALS.c.id == OFFERS.c.referral_id).where(
            case((and_(REFERRALS.c.status == status, _HAS_PART), true()), else_=false())
        )
    # An organisation may have had two offers for one referral.
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
    # Not `EXISTS`: PostgreSQL may evaluate it by reading every offer of the organisation.
    offer = (
        select(OFFERS.c.id)
        .where(OFFERS.c.referral_id == standing.c.id, OFFERS.c.organization == party, _HAS_PART)
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
