"""Routing's HTTP resources and its replies to other services' queries."""

from services.routing.api.acts import (
    ExtensionRequest,
    InterventionRequest,
    PlacementRequest,
    WithdrawalRequest,
    intervene,
    place,
    withdraw,
)
from services.routing.api.coordination import (
    candidates,
    coverage,
    decisions,
    engagements,
    queue,
    unplaced,
    wishes,
)
from services.routing.api.questions import answer_question
from services.routing.api.reports import asking_decisions, monthly_statement, report, series, statement

__all__ = [
    "ExtensionRequest",
    "InterventionRequest",
    "PlacementRequest",
    "WithdrawalRequest",
    "answer_question",
    "asking_decisions",
    "candidates",
    "coverage",
    "decisions",
    "engagements",
    "intervene",
    "monthly_statement",
    "place",
    "queue",
    "report",
    "series",
    "statement",
    "unplaced",
    "wishes",
    "withdraw",
]
