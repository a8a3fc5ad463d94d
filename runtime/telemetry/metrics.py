"""The HTTP metrics and the metrics registry of a process."""

from __future__ import annotations

import platform
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# Seconds. Finest around the latency aim in docs/performance.md (p99: 0.1 s). A long poll ends after 30.
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


_ANY = "(any)"


def process_registry() -> CollectorRegistry:
    """Return a registry with the process metrics: memory, CPU time, open files, garbage collection.

    After the call no metric of the process has a series with the time of its creation. Each such series is as
    much text as a counter, and nothing reads it.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types for it
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def build_info(registry: CollectorRegistry, service: str) -> None:
    """Add `kopuro_build_info`: 1, with the service and the versions of Kopuro and Python as labels."""
    Info("kopuro_build", "The service and the versions of Kopuro and Python", registry=registry).info(
        {"service": service, "version": version("kopuro"), "python": platform.python_version()}
    )


class HttpMetrics:
    """Request counts and latencies by method, route template and status. Raw paths never become labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "kopuro_http_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "kopuro_http_request_seconds",
            "Time from the request's headers to the response, in seconds",
            ("method", "route", "status"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("kopuro_http_requests_in_flight", "Requests in progress", registry=registry)
        self.held = Gauge(
            "kopuro_http_refusals_held", "Refusals that wait before they are sent", registry=registry
        )
        # `labels()` costs more than the increment itself; the set of label values is small.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(
        self, method: str, route: str, status: int, seconds: float, *, trace_id: str | None = None
    ) -> None:
        """Count one answered request. trace_id: the exemplar of its bucket, if any.

        Exemplars are part of the OpenMetrics format only. The log's lines have the same `trace_id`.
        """
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:
            children = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(*_timed(method, route, status)),
            )
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds, None if trace_id is None else {"trace_id": trace_id})


def _timed(method: str, route: str, status: int) -> tuple[str, str, str]:
    """Return the labels of the histogram that takes the time of a request.

    Anybody can provoke a dozen kinds of refusal at each route, and each series is text in every scrape. So
    the refusals of all routes share one histogram, and the faults of one route.
    """
    if status < 400:
        return method, route, str(status)
    return (_ANY, _ANY, "4xx") if status < 500 else (method, route, "5xx")


_CONNECTIONS = {
    "public": ("kopuro_public_connections", "kopuro_public_connections_refused"),
    "operations": ("kopuro_operations_connections", "kopuro_operations_connections_refused"),
}


class ConnectionMetrics:
    """The open and the refused connections of one port, `public` or `operations`."""

    def __init__(self, registry: CollectorRegistry, port: str) -> None:
        open_name, refused_name = _CONNECTIONS[port]
        open_connections = Gauge(open_name, "Open connections of the port", registry=registry)
        refused = Counter(
            refused_name,
            "Connections refused because the port or the client's address had reached its limit",
            registry=registry,
        )
        self.opened = open_connections.inc
        self.closed = open_connections.dec
        self.refused = refused.inc
