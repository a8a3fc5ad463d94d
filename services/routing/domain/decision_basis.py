"""What decisions read beside the observations, to find those that a change has overtaken."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from services.routing.domain.decision import Trigger
from services.routing.domain.policy import RoutingPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionBasis:
    """The directory's version, the policy, and the day, because agreements begin and end with days."""

    directory_version: int
    policy: RoutingPolicy
    day: dt.date

    def trigger_after(self, earlier: DecisionBasis) -> Trigger | None:
        """Return why a decision on another basis is to be made again on this one, None if it is the same."""
        if earlier == self:
            return None
        if replace(earlier, policy=self.policy) == self:
            return Trigger.review
        return Trigger.directory_changed
