"""Queries for the numbers of an organisation's open offers and accepted referrals.

The conditions are those of the partial indexes `offers_open` and `referrals_held`, as literals: SQLite does
not recognise them as parameters. So the cost depends on what the organisation holds now, and that of `sent`
on what is open in the network.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, literal_column, select, text

from services.routing.adapters.tables import OFFERS, REFERRALS
from services.routing.domain.referral import REFERRAL_TRANSITIONS

_OPEN: Final = sorted(status.value for status in REFERRAL_TRANSITIONS if REFERRAL_TRANSITIONS[status])
_OFFERED: Final = OFFERS.join(REFERRALS, REFERRALS.c.id == OFFERS.c.referral_id)


def _are_open_to(organization: str) -> tuple[ColumnElement[bool], ...]:
    return (
        OFFERS.c.state.op("=")(literal_column("'open'")),
        OFFERS.c.organization == organization,
        REFERRALS.c.priority.is_not(None),
    )


def open_offers(organization: str) -> Select[int, int]:
    """Select (rank of the urgency, number of referrals with an open offer to the organisation)."""
    return (
        select(REFERRALS.c.priority, func.count(REFERRALS.c.id.distinct()))
        .select_from(_OFFERED)
        .where(*_are_open_to(organization))
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


def offered_needs(organization: str) -> Select[str, Any]:
    """Select (service, facts of the referral) of each open offer to the organisation."""
    return (
        select(OFFERS.c.service, REFERRALS.c.facts).select_from(_OFFERED).where(*_are_open_to(organization))
    )


def sent(organization: str) -> Select[int, int]:
    """Select (rank of the urgency, number of open referrals that the organisation has sent).

    The sender is compared as an expression: the index of senders has their closed referrals too.
    """
    return (
        select(REFERRALS.c.priority, func.count())
        .where(
            REFERRALS.c.sender.concat("") == organization,
            REFERRALS.c.status.in_([literal_column(f"'{status}'") for status in _OPEN]),
            REFERRALS.c.part_of.is_(None),
            text("priority IS NOT NULL"),
        )
        .group_by(REFERRALS.c.priority)
    )
