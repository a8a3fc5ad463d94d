"""The export of spans: a bounded queue and a loop that empties it to an OTLP receiver.

A receiver that is slow, down or full costs spans and never time: `add` only appends to the queue or drops the
span, and the loop runs beside all other work.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter

from runtime.background import Spawn
from runtime.telemetry.spans import Span, is_sampled
from runtime.telemetry.trace import Trace

_log = logging.getLogger(__name__)

MOST_WAITING: Final = 4096  # spans, about 4 MB
# Encoding runs on the thread of all other work: small batches keep each pause under about 5 ms.
BATCH: Final = 100
SECONDS: Final = 1.0  # from the end of one round to the start of the next
# A receiver whose answer comes byte by byte can hold an export for longer than its timeout.
STOP_SECONDS: Final = 5.0
RESULTS: Final = ("exported", "dropped", "failed")


class Exporter(Protocol):
    """Sends spans to a receiver."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Return whether the receiver took the spans. May wait for a few seconds; never raises."""
        ...

    def close(self) -> None:
        """End an `export` in progress early, and close the connection."""
        ...


def span_counter(registry: CollectorRegistry) -> Counter:
    """Return `kopuro_spans_total` with every result at zero, for a process with or without tracing."""
    counter = Counter(
        "kopuro_spans",
        "Spans by result: exported, dropped (the queue was full), failed (the receiver did not take them)",
        ("result",),
        registry=registry,
    )
    for result in RESULTS:
        counter.labels(result)
    return counter


class SpanExport:
    """Takes spans (`Spans`) and exports them in the background (`Background`)."""

    def __init__(
        self, exporter: Exporter, counter: Counter, *, ratio: float = 1.0, most_waiting: int = MOST_WAITING
    ) -> None:
        """ratio: the share of traces that are exported, above 0 and up to 1."""
        self._exporter = exporter
        self._exported, self._dropped, self._failed = (counter.labels(result) for result in RESULTS)
        self._ratio = ratio
        self._most_waiting = most_waiting
        self._waiting: deque[Span] = deque()
        self._is_failing = False
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._ended.set()

    def samples(self, trace: Trace) -> bool:
        return is_sampled(trace.trace_id, self._ratio)

    def add(self, span: Span) -> None:
        if len(self._waiting) >= self._most_waiting:
            self._dropped.inc()
        else:
            self._waiting.append(span)

    def start(self, spawn: Spawn) -> None:
        self._ended.clear()
        spawn(self._run)

    def stop(self) -> None:
        """Export what waits if the receiver works, and stop. A receiver that does not answer ends early.

        Return after STOP_SECONDS at the latest; an export in progress then ends with the process.
        """
        self._stopping.set()
        if self._is_failing:
            self._exporter.close()
        self._ended.wait(STOP_SECONDS)

    def export_waiting(self) -> None:
        """Export the spans that wait, until none is left or a batch fails. A failed batch is not repeated."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not self._exporter.export(batch):
                self._failed.inc(len(batch))
                if not self._is_failing:
                    _log.warning("spans not exported", extra={"count": len(batch)})
                self._is_failing = True
                return
            self._exported.inc(len(batch))
            self._is_failing = False

    def _run(self) -> None:
        try:
            while not self._stopping.wait(SECONDS):
                self.export_waiting()
            if not self._is_failing:
                self.export_waiting()
        finally:
            self._exporter.close()
            self._ended.set()
