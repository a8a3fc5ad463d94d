"""The state of the network in numbers, at one time. Organisations are in reports, not here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.codes import ReferralStatus, Urgency


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenReferrals:
    """The open referrals of one kind. oldest: when the first of them was submitted.

    need_group, country: of the first need and of the region.
    """

    status: ReferralStatus
    urgency: Urgency
    need_group: str
    country: str
    referrals: int
    oldest: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFigures:
    """open: kinds that have referrals. overdue: referrals whose acceptor's report is overdue.
    acceptor_suspended: referrals whose acceptor is no longer in good standing.

    oldest_offers: when the oldest open offer of each urgency was opened; without open offers, no member.
    """

    open: Sequence[OpenReferrals]
    overdue: int
    acceptor_suspended: int
    oldest_offers: Mapping[Urgency, dt.datetime]
