"""The steps that the policy takes while an offer has no answer, as data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from marshmallow.validate import Length, Range

from contracts.codes import Urgency


class StepAct(StrEnum):
    """remind: write to the organisation again. ask_another: open an offer to one more organisation."""

    remind = "remind"
    ask_another = "ask_another"


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationStep:
    """One step. at: the share of the answer time after which it is taken."""

    at: Annotated[float, Range(min=0.05, max=0.95)]
    act: StepAct

    def moment(self, opened_at: dt.datetime, deadline: dt.datetime) -> dt.datetime:
        """Return when the step is due for an offer."""
        return opened_at + self.at * (deadline - opened_at)


Steps = Annotated[tuple[EscalationStep, ...], Length(max=10)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalation:
    """The steps by urgency, in the order of their times."""

    emergency: Steps = (EscalationStep(at=0.5, act=StepAct.remind),)
    urgent: Steps = (EscalationStep(at=0.5, act=StepAct.remind), EscalationStep(at=0.9, act=StepAct.remind))
    routine: Steps = (EscalationStep(at=0.5, act=StepAct.remind), EscalationStep(at=0.9, act=StepAct.remind))

    def by_urgency(self) -> Mapping[Urgency, tuple[EscalationStep, ...]]:
        """Return the steps for each urgency."""
        return {
            Urgency.emergency: self.emergency,
            Urgency.urgent: self.urgent,
            Urgency.routine: self.routine,
        }

    def next_at(
        self, urgency: Urgency, opened_at: dt.datetime, deadline: dt.datetime, after: dt.datetime
    ) -> dt.datetime | None:
        """Return when an offer's first step later than `after` is due; None if none is left."""
        moments = (step.moment(opened_at, deadline) for step in self.by_urgency()[urgency])
        return min((moment for moment in moments if moment > after), default=None)

    def out_of_order(self) -> Iterator[tuple[Urgency, int]]:
        """Yield the places of the steps that are not later than the step before them."""
        for urgency, steps in self.by_urgency().items():
            for index in range(1, len(steps)):
                if steps[index].at <= steps[index - 1].at:
                    yield urgency, index
