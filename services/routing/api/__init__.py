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
from services.routing.api.queries import reply_to_query
from services.routing.api.reports import asking_decisions, monthly_statement, report, series, statement
from services.routing.api.simulation import SimulationRequest, simulate

__all__ = [
    "ExtensionRequest",
    "InterventionRequest",
    "PlacementRequest",
    "SimulationRequest",
    "WithdrawalRequest",
    "asking_decisions",
    "candidates",
    "coverage",
    "decisions",
    "engagements",
    "intervene",
    "monthly_statement",
    "place",
    "queue",
    "reply_to_query",
    "report",
    "series",
    "simulate",
    "statement",
    "unplaced",
    "wishes",
    "withdraw",
]
