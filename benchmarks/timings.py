"""Times of the steps of each loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

Clock = dict[str, float]


@dataclass(slots=True)
class Timings:
    """Monotonic seconds by referral: when a step was submitted, and when it arrived in a mailbox."""

    submitted: Clock = field(default_factory=dict)
    # When the HTTP response arrived: the referral is committed.
    admitted: Clock = field(default_factory=dict)
    offered: Clock = field(default_factory=dict)
    answered: Clock = field(default_factory=dict)
    accepted: Clock = field(default_factory=dict)
    reported: Clock = field(default_factory=dict)
    progressed: Clock = field(default_factory=dict)
    # A receiver reports progress and completion together: `reported` is the start of both.
    completed: Clock = field(default_factory=dict)
    closed: Clock = field(default_factory=dict)

    def unfinished(self) -> set[str]:
        """Return submitted referrals with a step that has not arrived in a mailbox yet."""
        seen = (self.offered, self.accepted, self.progressed, self.completed, self.closed)
        return {referral for step in seen for referral in self.submitted.keys() - step.keys()}

    def latencies(self, since: float = 0.0, until: float = math.inf) -> Mapping[str, list[float]]:
        """Return seconds between related steps, for referrals submitted in `[since, until)`."""
        pairs = {
            "submit_to_admission": (self.submitted, self.admitted),
            "submit_to_offer": (self.submitted, self.offered),
            "accept_to_confirmation": (self.answered, self.accepted),
            "progress_to_confirmation": (self.reported, self.progressed),
            "complete_to_confirmation": (self.reported, self.completed),
            "submit_to_closed": (self.submitted, self.closed),
        }
        counted = {referral for referral, moment in self.submitted.items() if since <= moment < until}
        return {
            name: [end[referral] - begin[referral] for referral in counted & begin.keys() & end.keys()]
            for name, (begin, end) in pairs.items()
        }
