"""What the network's members have agreed on and may change: deadlines, weights, how many are asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated

from marshmallow.validate import Range

from contracts.codes import Urgency
from contracts.identifiers import ShortText

_HOUR, _DAY = 3600, 86400
# How many times the deadline for progress a case may rest on hold without another report.
HOLDS_FOR = 3

Seconds = Annotated[int, Range(min=1, max=366 * _DAY)]
Weight = Annotated[float, Range(min=0.0, max=1000.0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Seconds. answer: for an offer. progress: from acceptance, and from each report to the next.

    on_hold: from a report that the case is on hold to the next one; None for `HOLDS_FOR` times progress.
    """

    answer: Seconds
    progress: Seconds
    on_hold: Seconds | None = None

    def next_report(self, *, on_hold: bool) -> int:
        """Seconds until the acceptor has to report again; always bounded, on hold too."""
        if not on_hold:
            return self.progress
        return self.on_hold if self.on_hold is not None else HOLDS_FOR * self.progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """How much each consideration counts; only their proportions matter."""

    needs_covered: Weight = 3.0
    nearness: Weight = 2.0
    language: Weight = 2.0
    responsiveness: Weight = 2.0
    load: Weight = 1.0
    freshness: Weight = 1.0
    cost: Weight = 1.0

    def by_name(self) -> Mapping[str, float]:
        """Each weight by the name of the contribution that it belongs to."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingPolicy:
    """Versioned, and named in every decision that it shaped."""

    version: ShortText = "2026-1"
    emergency: Deadlines = field(default_factory=lambda: Deadlines(answer=_HOUR, progress=_DAY))
    urgent: Deadlines = field(default_factory=lambda: Deadlines(answer=_DAY, progress=3 * _DAY))
    routine: Deadlines = field(default_factory=lambda: Deadlines(answer=3 * _DAY, progress=14 * _DAY))
    # Organisations asked at the same time; the first acceptance wins.
    emergency_offers: Annotated[int, Range(min=1, max=20)] = 3
    weights: Weights = field(default_factory=Weights)
    # How long past its deadline an offer stays open, at most, while what was said before it is being read.
    backlog: Seconds = 900

    def deadlines(self, urgency: Urgency) -> Deadlines:
        """The deadlines of an urgency."""
        by_urgency: Mapping[Urgency, Deadlines] = {
            Urgency.emergency: self.emergency,
            Urgency.urgent: self.urgent,
            Urgency.routine: self.routine,
        }
        return by_urgency[urgency]

    def answer_due(self, urgency: Urgency, now: dt.datetime) -> dt.datetime:
        """When silence on an offer that opens now becomes `offer.expired`."""
        return now + dt.timedelta(seconds=self.deadlines(urgency).answer)

    def progress_due(self, urgency: Urgency, now: dt.datetime, *, on_hold: bool = False) -> dt.datetime:
        """When the acceptor's silence from now on becomes `referral.overdue`."""
        return now + dt.timedelta(seconds=self.deadlines(urgency).next_report(on_hold=on_hold))

    def wait_for_backlog(self) -> dt.timedelta:
        """How long a backlog may hold back the end of an offer."""
        return dt.timedelta(seconds=self.backlog)

    def offers_at_once(self, urgency: Urgency) -> int:
        """How many offers are open at the same time."""
        return self.emergency_offers if urgency is Urgency.emergency else 1
