"""Routing, asked over the broker."""

from __future__ import annotations

from typing import Any

from contracts.queries import Question
from contracts.topology import ROUTING_QUERIES
from runtime.messaging.queries import Queries


class RoutingByBroker:
    """See `ports.Referrals`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def ask(self, question: Question) -> Any:
        """See `ports.Referrals`."""
        return self._queries.ask(ROUTING_QUERIES, question.wire())
