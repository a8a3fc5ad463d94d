"""The metrics of the HTTP edge, and the registry of one process."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

# Seconds. The fine steps lie where DESIGN's figures lie (p99 of a submission: 0.1 s); a long poll ends at 30.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


def process_registry() -> CollectorRegistry:
    """A registry with what the process itself shows: memory, CPU time, open files, collections."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class HttpMetrics:
    """Requests by method, route template and status. A path as sent never becomes a label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "kopuro_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "kopuro_http_request_seconds",
            "From the request's headers to its answer, in seconds",
            ("method", "route", "status"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "kopuro_http_requests_in_flight", "Requests being answered now", registry=registry
        )
        # `labels()` costs more than the increment itself; the set of label values is small.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:
            labels = (method, route, str(status))
            children = (self._requests.labels(*labels), self._seconds.labels(*labels))
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)
