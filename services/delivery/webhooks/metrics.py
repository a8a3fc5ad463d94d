"""Webhook metrics. No label names an endpoint or an organisation: their number has no bound."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class WebhookMetrics:
    """The webhook metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "kopuro_webhook_attempts",
            "Requests to endpoints by result: sent, refused, or why no answer came",
            ("result",),
            registry=registry,
        )
        self.seconds = Histogram(
            "kopuro_webhook_seconds",
            "Time of a request to an endpoint, in seconds",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30),
            registry=registry,
        )
        self.in_flight = Gauge(
            "kopuro_webhook_requests_in_flight", "Requests to endpoints in progress", registry=registry
        )
        self.waiting = Gauge(
            "kopuro_webhook_notices_waiting",
            "Notices waiting to be sent, including retries",
            registry=registry,
        )
