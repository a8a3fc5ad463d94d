"""Requests to routing over the broker."""

from __future__ import annotations

from typing import Any

from contracts.queries import Query
from contracts.topology import ROUTING_QUERIES
from runtime.messaging.request_reply import RequestClient


class RoutingByBroker:
    """See `ports.Referrals`."""

    def __init__(self, queries: RequestClient) -> None:
        self._queries = queries

    def ask(self, query: Query) -> Any:
        """See `ports.Referrals`."""
        return self._queries.ask(ROUTING_QUERIES, query.wire())
