"""Queries for the numbers of an organisation's open offers and accepted referrals.

The conditions are those of the partial indexes `offers_open` and `referrals_held`, as literals: SQLite does
not recognise them as parameters. So the cost depends on what the organisation holds now.
"""

from __future__ import annotations

from sqlalchemy import Select, func, literal_column, select, text

from services.routing.adapters.tables import OFFERS, REFERRALS


def open_offers(organization: str) -> Select[int, int]:
    """Select (rank of the urgency, number of referrals with an open offer to the organisation)."""
    return (
        select(REFERRALS.c.priority, func.count(REFERRALS.c.id.distinct()))
        .select_from(OFFERS.join(REFERRALS, REFERRALS.c.id == OFFERS.c.referral_id))
        .where(
            OFFERS.c.state.op("=")(literal_column("'open'")),
            OFFERS.c.organization == organization,
            REFERRALS.c.priority.is_not(None),
        )
        .group_by(REFERRALS.c.priority)
    )


def accepted(organization: str) -> Select[int, int]:
    """Select (rank of the urgency, number of referrals that the organisation holds)."""
    return (
        select(REFERRALS.c.priority, func.count())
        .where(
            REFERRALS.c.acceptor == organization,
            text("status IN ('accepted', 'in_progress', 'on_hold')"),
            REFERRALS.c.priority.is_not(None),
        )
        .group_by(REFERRALS.c.priority)
    )
