"""The routing policy that the members agree on: deadlines, weights, numbers of simultaneous offers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Annotated

from marshmallow.validate import Range

from contracts.codes import Urgency
from contracts.identifiers import ShortText
from services.routing.domain.escalation_steps import Escalation
from services.routing.domain.fairness import Fairness
from services.routing.domain.places import OffersPerSender

_HOUR, _DAY = 3600, 86400
# The default time on hold without another report, in multiples of the progress deadline.
HOLDS_FOR = 3

Seconds = Annotated[int, Range(min=1, max=366 * _DAY)]
Weight = Annotated[float, Range(min=0.0, max=1000.0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Deadlines in seconds. answer: for an offer. progress: from acceptance or a report to the next report.

    on_hold: from an on-hold report to the next report; None means `HOLDS_FOR` times progress.
    """

    answer: Seconds
    progress: Seconds
    on_hold: Seconds | None = None

    def next_report(self, *, on_hold: bool) -> int:
        """Return the seconds until the acceptor must report again; bounded on hold too."""
        if not on_hold:
            return self.progress
        return self.on_hold if self.on_hold is not None else HOLDS_FOR * self.progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """The weights of the score's contributions; only their proportions matter."""

    needs_covered: Weight = 3.0
    nearness: Weight = 2.0
    language: Weight = 2.0
    responsiveness: Weight = 2.0
    load: Weight = 2.0
    freshness: Weight = 1.0
    cost: Weight = 1.0

    def by_name(self) -> Mapping[str, float]:
        """Return each weight by the name of its contribution."""
        return dict(zip(_NAMES, _values(self), strict=True))


# Once: `fields` is slow.
_NAMES = tuple(item.name for item in fields(Weights))
_values = attrgetter(*_NAMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class FullFor:
    """How long a service counts as full after it declined for lack of capacity, in seconds.

    By the urgency of the referral that would be offered. A statement of capacity after the decline ends it.
    """

    emergency: Seconds = _HOUR
    urgent: Seconds = 8 * _HOUR
    routine: Seconds = _DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingPolicy:
    """A versioned policy. Every decision records the version it used."""

    version: ShortText = "2026-1"
    emergency: Deadlines = field(default_factory=lambda: Deadlines(answer=_HOUR, progress=_DAY))
    urgent: Deadlines = field(default_factory=lambda: Deadlines(answer=_DAY, progress=3 * _DAY))
    routine: Deadlines = field(default_factory=lambda: Deadlines(answer=3 * _DAY, progress=14 * _DAY))
    # Simultaneous offers for an emergency; the first acceptance wins.
    emergency_offers: Annotated[int, Range(min=1, max=20)] = 3
    # Bounds on one sender's open offers at one candidate.
    offers_per_sender: OffersPerSender = field(default_factory=OffersPerSender)
    full_for: FullFor = field(default_factory=FullFor)
    weights: Weights = field(default_factory=Weights)
    fairness: Fairness = field(default_factory=Fairness)
    # The steps while an offer has no answer.
    escalation: Escalation = field(default_factory=Escalation)
    # Coordinators are notified of an emergency whose offer has had no answer for so long, or for half of the
    # answer time if that is shorter.
    emergency_alert: Seconds = 20 * 60
    # The most reminders by coordinators to one organisation about one referral in an answer time.
    reminders: Annotated[int, Range(min=1, max=1000)] = 4
    # The most that a coordinator may extend: an offer to this many answer times since it opened, a report to
    # this many progress times from now.
    extension: Annotated[int, Range(min=1, max=100)] = 2
    # The longest time that an offer stays open past its deadline while older messages are being read.
    backlog: Seconds = 900
    # For practice and demonstrations: answer deadlines of seconds are allowed (`policy_document.py`).
    practice: bool = False

    def deadlines(self, urgency: Urgency) -> Deadlines:
        """Return the deadlines for an urgency."""
        by_urgency: Mapping[Urgency, Deadlines] = {
            Urgency.emergency: self.emergency,
            Urgency.urgent: self.urgent,
            Urgency.routine: self.routine,
        }
        return by_urgency[urgency]

    def answer_due(self, urgency: Urgency, now: dt.datetime) -> dt.datetime:
        """Return the deadline of an offer that opens now."""
        return now + dt.timedelta(seconds=self.deadlines(urgency).answer)

    def progress_due(self, urgency: Urgency, now: dt.datetime, *, on_hold: bool = False) -> dt.datetime:
        """Return when the acceptor's next report becomes overdue."""
        return now + dt.timedelta(seconds=self.deadlines(urgency).next_report(on_hold=on_hold))

    def reminder_interval(self, urgency: Urgency) -> dt.timedelta:
        """Return the shortest time between two reminders of an organisation about one referral."""
        return dt.timedelta(seconds=self.deadlines(urgency).answer) / self.reminders

    def longest_answer(self, urgency: Urgency) -> dt.timedelta:
        """Return the longest time from an offer's opening to an extended deadline."""
        return self.extension * dt.timedelta(seconds=self.deadlines(urgency).answer)

    def longest_report(self, urgency: Urgency, *, on_hold: bool) -> dt.timedelta:
        """Return the longest time from now to an extended report."""
        return self.extension * dt.timedelta(seconds=self.deadlines(urgency).next_report(on_hold=on_hold))

    def counts_as_full(self, urgency: Urgency) -> dt.timedelta:
        """Return how long a decline for lack of capacity counts, for a referral of this urgency."""
        by_urgency: Mapping[Urgency, int] = {
            Urgency.emergency: self.full_for.emergency,
            Urgency.urgent: self.full_for.urgent,
            Urgency.routine: self.full_for.routine,
        }
        return dt.timedelta(seconds=by_urgency[urgency])

    def alert_after(self) -> dt.timedelta:
        """Return how long an offer of an emergency may wait before coordinators are notified."""
        return dt.timedelta(seconds=min(self.emergency_alert, self.emergency.answer / 2))

    def wait_for_backlog(self) -> dt.timedelta:
        """Return how long a backlog may delay the expiry of an offer."""
        return dt.timedelta(seconds=self.backlog)

    def offers_at_once(self, urgency: Urgency) -> int:
        """Return how many offers may be open at the same time."""
        return self.emergency_offers if urgency is Urgency.emergency else 1
