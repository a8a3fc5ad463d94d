"""The figures of messaging: what is consumed, published, waiting and parked."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class MessagingMetrics:
    """One process's messaging figures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.consumed = Counter(
            "kopuro_messages_consumed",
            "Messages by consumer and what became of them: applied, known, postponed, parked",
            ("consumer", "result"),
            registry=registry,
        )
        self.batch_size = Histogram(
            "kopuro_batch_messages",
            "Messages in one batch",
            ("consumer",),
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=registry,
        )
        self.parked = Gauge(
            "kopuro_messages_parked",
            "Messages in the consumer's parking queue, whoever parked them",
            ("consumer",),
            registry=registry,
        )
        self.published = Counter(
            "kopuro_messages_published", "Events that the broker has confirmed", registry=registry
        )
        self.relay_failures = Counter(
            "kopuro_relay_failures", "Waves that the relay could not finish", registry=registry
        )
        self.confirm_seconds = Histogram(
            "kopuro_publish_wave_seconds",
            "From the first message of a wave to its last confirm, in seconds",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 15),
            registry=registry,
        )
        self.outbox_depth = Gauge(
            "kopuro_outbox_messages", "Messages waiting in the outbox", registry=registry
        )
        self.paused_seconds = Gauge(
            "kopuro_messaging_paused_seconds",
            "For how long the relay or a consumer has been unable to go on, in seconds; 0 when none is",
            registry=registry,
        )
        self.clock_ahead_seconds = Gauge(
            "kopuro_clock_ahead_seconds",
            "How far the clock of another service was ahead of ours in the last ten minutes, in seconds",
            registry=registry,
        )
