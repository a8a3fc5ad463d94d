"""The gateway's metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

VERDICTS = ("answered", "retried", "paced", "parked")


class GatewayMetrics:
    """Counts of submissions, copies and acknowledgements, and the state of the windows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._submissions = Counter(
            "kopuro_gateway_submissions",
            "Submissions taken from the partners' broker, by outcome",
            ("verdict",),
            registry=registry,
        )
        for verdict in VERDICTS:
            self._submissions.labels(verdict)
        self._copied = Counter(
            "kopuro_gateway_copied", "Messages copied to the queues of organisations", registry=registry
        )
        self._acknowledged = Counter(
            "kopuro_gateway_acknowledged",
            "Messages acknowledged in mailboxes because their queue was empty",
            registry=registry,
        )
        self._windows = Gauge(
            "kopuro_gateway_windows",
            "Organisations with a user at the partners' broker, by whether they have access",
            ("access",),
            registry=registry,
        )
        self._unproved = Gauge(
            "kopuro_gateway_unproved",
            "Copied messages whose acknowledgement is not proved, in all queues",
            registry=registry,
        )
        self._dead_letters = Gauge(
            "kopuro_gateway_parked", "Submissions that became dead letters, unanswered", registry=registry
        )
        self._waiting = Gauge(
            "kopuro_gateway_waiting_seconds",
            "Time for which submissions have waited at the partners' broker, in seconds; 0 if none waits",
            registry=registry,
        )
        self._bans = Counter(
            "kopuro_gateway_bans",
            "Bans of organisations that flooded the partners' broker",
            registry=registry,
        )
        self._banned = Gauge(
            "kopuro_gateway_banned",
            "Organisations that cannot connect to the partners' broker now, because they flooded it",
            registry=registry,
        )
        self.observe(lambda: (0, 0), lambda: 0, lambda: 0, lambda: 0.0, lambda: 0)

    def observe(
        self,
        windows: Callable[[], tuple[int, int]],
        unproved: Callable[[], int],
        dead_letters: Callable[[], int],
        waiting_seconds: Callable[[], float],
        banned: Callable[[], int],
    ) -> None:
        """Read the gauges from these.

        windows: the organisations with and without access; unproved: copies; dead_letters: submissions;
        waiting_seconds: of submissions; banned: organisations that flooded the broker.
        """
        self._dead_letters.set_function(dead_letters)
        self._waiting.set_function(waiting_seconds)
        self._windows.labels("open").set_function(lambda: windows()[0])
        self._windows.labels("ended").set_function(lambda: windows()[1])
        self._unproved.set_function(unproved)
        self._banned.set_function(banned)

    def submission(self, verdict: str) -> None:
        """Count a submission."""
        self._submissions.labels(verdict).inc()

    def ban(self) -> None:
        """Count a ban."""
        self._bans.inc()

    def copied(self, number: int) -> None:
        """Count copied messages."""
        self._copied.inc(number)

    def acknowledged(self, number: int) -> None:
        """Count acknowledged messages."""
        self._acknowledged.inc(number)
