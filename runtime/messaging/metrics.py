"""Messaging metrics: messages consumed, published, waiting and dead-lettered."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# How a message leaves its consumer, and the checks that an author may fail. Each is a label's value.
RESULTS = ("applied", "known", "postponed", "parked")
CHECKS = ("unsigned", "digest", "source", "owner", "key", "signature", "user", "queue")
# The checks of a request or a reply (`signatures.requests`).
REQUEST_CHECKS = (
    "unsigned",
    "digest",
    "source",
    "key",
    "signature",
    "user",
    "form",
    "address",
    "stale",
    "replayed",
)


class MessagingMetrics:
    """The messaging metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.consumed = Counter(
            "kopuro_messages_consumed",
            "Messages by consumer and result: applied, known (duplicate), postponed, parked (dead-lettered)",
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
        self.dead_letters = Gauge(
            "kopuro_messages_parked",
            "Messages in the consumer's dead-letter queue",
            ("consumer",),
            registry=registry,
        )
        self.lacking = Gauge(
            "kopuro_broker_lacks",
            "1 for each exchange, queue and binding that the broker lacks; nothing is published meanwhile",
            ("name",),
            registry=registry,
        )
        self.strays = Gauge(
            "kopuro_broker_strays",
            "Exchanges, queues and bindings at the broker that the hub does not declare",
            registry=registry,
        )
        self.replica_refused = Gauge(
            "kopuro_replica_rows_refused",
            "Rows of the directory's replica that are not used: no signed fact made them",
            registry=registry,
        )
        self.replica_tampered = Gauge(
            "kopuro_replica_rows_tampered",
            "Records of the directory's replica that somebody else has written or deleted since the start",
            registry=registry,
        )
        self.not_authentic = Counter(
            "kopuro_messages_not_authentic",
            "Messages without effect because their author is not proven, by consumer and failed check",
            ("consumer", "check"),
            registry=registry,
        )
        self.replies_too_large = Counter(
            "kopuro_replies_too_large",
            "Replies to other services that were too large for the broker, and refused instead",
            registry=registry,
        )
        self.published = Counter(
            "kopuro_messages_published", "Published events that the broker confirmed", registry=registry
        )
        self.relay_failures = Counter(
            "kopuro_relay_failures", "Waves that the relay failed to publish completely", registry=registry
        )
        self.confirm_seconds = Histogram(
            "kopuro_publish_wave_seconds",
            "Time from a wave's first message to its last confirm, in seconds",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 15),
            registry=registry,
        )
        self.outbox_depth = Gauge(
            "kopuro_outbox_messages", "Messages waiting in the outbox", registry=registry
        )
        self.outbox_oldest_seconds = Gauge(
            "kopuro_outbox_oldest_seconds",
            "Age of the oldest event that waits in the outbox, in seconds; 0 when none waits",
            registry=registry,
        )
        self._consumer_oldest_seconds = Gauge(
            "kopuro_consumer_oldest_seconds",
            "Age of the oldest event that the consumer is processing or has just processed, in seconds",
            ("consumer",),
            registry=registry,
        )
        self.unreceipted = Gauge(
            "kopuro_unreceipted_messages",
            "Published messages whose events the log has not receipted yet; a batch counts as one",
            registry=registry,
        )
        self.unreceipted_seconds = Gauge(
            "kopuro_unreceipted_oldest_seconds",
            "Age of the oldest published message without a receipt, in seconds; 0 when there is none",
            registry=registry,
        )
        self.offered_again = Counter(
            "kopuro_events_offered_again",
            "Events offered to the log again because no receipt came in time",
            registry=registry,
        )
        self.given_up = Counter(
            "kopuro_events_given_up",
            "Events whose copy was deleted after 30 days without a receipt",
            registry=registry,
        )
        self.paused_seconds = Gauge(
            "kopuro_messaging_paused_seconds",
            "Longest time that the relay or a consumer has been stalled, in seconds; 0 when none is",
            registry=registry,
        )
        self.clock_ahead_seconds = Gauge(
            "kopuro_clock_ahead_seconds",
            "Largest lead of another service's clock over ours in the last ten minutes, in seconds",
            registry=registry,
        )

    def add_consumer(self, consumer: str, oldest_seconds: Callable[[], float]) -> None:
        """Show every series of a consumer from the start, so that its first dead letter is an increase.

        oldest_seconds: returns the age of its oldest event.
        """
        for result in RESULTS:
            self.consumed.labels(consumer, result)
        for check in CHECKS:
            self.not_authentic.labels(consumer, check)
        self.batch_size.labels(consumer)
        self.dead_letters.labels(consumer).set(0)
        self._consumer_oldest_seconds.labels(consumer).set_function(oldest_seconds)

    def add_peer(self, consumer: str) -> Callable[[str], None]:
        """Show the series of a consumer of requests or replies; return what counts a failed check."""
        for check in REQUEST_CHECKS:
            self.not_authentic.labels(consumer, check)
        return lambda check: self.not_authentic.labels(consumer, check).inc()
