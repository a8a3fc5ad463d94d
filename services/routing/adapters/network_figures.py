"""The queries of the network's figures.

Each reads a partial index that holds no closed row, so that the cost depends on what is open (ADR 0048).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from contracts.codes import ReferralStatus
from runtime.storage.columns import moment_of
from runtime.storage.sql_statement import SqlStatement
from services.routing.domain.network_figures import NetworkFigures, OpenReferrals
from services.routing.domain.places import ORDER_OF_URGENCY

_URGENCIES: Final = {rank: urgency for urgency, rank in ORDER_OF_URGENCY.items()}

# The grouping is the index's order, so that nothing is sorted.
OPEN: Final = SqlStatement(
    "SELECT status, priority, need_group, country, count(*), min(submitted_at) FROM referrals"
    " WHERE priority IS NOT NULL GROUP BY status, priority, need_group, country"
)
OVERDUE: Final = SqlStatement("SELECT count(*) FROM referrals WHERE overdue_since IS NOT NULL")
ACCEPTOR_SUSPENDED: Final = SqlStatement(
    "SELECT count(*) FROM referrals WHERE acceptor_suspended_since IS NOT NULL"
)
OLDEST_OFFERS: Final = SqlStatement(
    "SELECT referrals.priority, min(offers.opened_at) FROM offers"
    " JOIN referrals ON referrals.id = offers.referral_id"
    " WHERE offers.state = 'open' AND referrals.priority IS NOT NULL GROUP BY referrals.priority"
)


def network_figures(transaction: Connection) -> NetworkFigures:
    """Read the figures, of one moment in a read transaction."""
    return NetworkFigures(
        open=[
            OpenReferrals(
                status=ReferralStatus(status),
                urgency=_URGENCIES[priority],
                need_group=need_group,
                country=country,
                referrals=number,
                oldest=moment_of(oldest),
            )
            for status, priority, need_group, country, number, oldest in OPEN.run(transaction)
        ],
        overdue=OVERDUE.run(transaction).scalar_one(),
        acceptor_suspended=ACCEPTOR_SUSPENDED.run(transaction).scalar_one(),
        oldest_offers={
            _URGENCIES[priority]: moment_of(opened_at)
            for priority, opened_at in OLDEST_OFFERS.run(transaction)
        },
    )
