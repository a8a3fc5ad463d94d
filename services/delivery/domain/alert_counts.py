"""The bound on the coordinators' alerts: which ones come singly, and when a count replaces the others.

An alert asks the coordinators to act on a referral, which is in one of their queues as long as it asks. In an
hour, `SINGLE` alerts of each type and urgency that one organisation causes come as they are. Then the mailbox
gets `alerts.counted` at once, and again whenever the number has doubled. So one organisation fills the
mailbox neither with emergencies nor with missing reports, and its routine referrals do not hide an emergency.

The end of the open offers of an organisation counts in the same way. It asks for nothing: the next candidates
are asked, and a referral that has none becomes unplaced. The alerts that one organisation can cause
repeatedly, by its answers or by changes of its record, count in this way too. Every other message comes as it
is: see `SINGLY`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts import facts
from contracts.codes import Urgency
from contracts.facts import AlertsCounted

SINGLE: Final = 20
# How long a count is kept.
KEPT: Final = dt.timedelta(hours=2)

# The field with the organisation that causes an alert: the sender, the acceptor without a report, or the
# organisation of the revoked offer, the answer or the changed record.
CAUSES: Final[Mapping[str, str]] = {
    facts.ReferralUnplaced.type: "sender",
    facts.ReferralUnanswered.type: "sender",
    facts.ReferralOverdue.type: "organization",
    facts.ReferralAcceptorSuspended.type: "organization",
    facts.OfferRevoked.type: "organization",
    facts.DirectoryCorrectionSuggested.type: "organization",
    facts.ServiceApprovalEnded.type: "organization",
}

# The other messages of the coordinators, and why one organisation cannot fill the mailbox with them.
SINGLY: Final[Mapping[str, str]] = {
    facts.PlacementRefused.type: "one for each placement of a coordinator",
    facts.PlacementAnswered.type: "a few for each placement of a coordinator",
    facts.InterventionRefused.type: "one for each act of a coordinator",
    facts.InterventionApplied.type: "one for each organisation that an act of a coordinator concerns",
    facts.CoordinatorWithdrawalRefused.type: "one for each act of a coordinator",
    facts.AcceptanceRevoked.type: "one for each act of a coordinator",
    facts.ReferralAcceptorDeclinedPart.type: "one for each part of a referral that it has accepted",
    facts.CoordinationDigest.type: "the hub writes one for each period",
    facts.SealingKeyReplaced.type: "a few a day with proof (the directory's `KEYS`), others by two operators",
    facts.ApplicationSubmitted.type: "the directory accepts a bounded number, and few from one address",
}


@dataclass(frozen=True, order=True, kw_only=True, slots=True)
class AlertKind:
    """The alerts of one type and urgency that one organisation causes, which are counted together.

    urgency: "" for a type that does not state it.
    """

    organization: str
    type: str
    urgency: str = ""


def alert_kind(fact_type: str, data: Mapping[str, Any]) -> AlertKind | None:
    """Return the kind of alert that a message to the coordinators is; None for others. data: of the event."""
    field = CAUSES.get(fact_type)
    if field is None:
        return None
    return AlertKind(organization=data[field], type=fact_type, urgency=data.get("urgency") or "")


def hour_of(now: dt.datetime) -> dt.datetime:
    """Return the beginning of the hour in which alerts count together."""
    return now.replace(minute=0, second=0, microsecond=0)


def is_single(number: int) -> bool:
    """Return whether an alert comes as it is. number: which of its kind in the hour, from 1."""
    return number <= SINGLE


def counted(kind: AlertKind, since: dt.datetime, before: int, after: int) -> AlertsCounted | None:
    """Return the message that is due when the number of alerts has risen; None if none is due."""
    if _level(before) == _level(after):
        return None
    return AlertsCounted(
        organization=kind.organization,
        message_type=kind.type,
        urgency=Urgency(kind.urgency) if kind.urgency else None,
        since=since,
        messages=after,
    )


def _level(number: int) -> int:
    """Return 0 up to `SINGLE` alerts, 1 up to twice as many, 2 up to four times as many, and so on."""
    return ((max(number, 1) - 1) // SINGLE).bit_length()
