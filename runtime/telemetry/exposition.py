"""The text of a process's metrics, made in turns: other requests run while a scrape is answered.

The client library makes the text of a few thousand series in one piece, which takes tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from runtime.turn import Turn


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the metrics and their media type for an Accept header; as text for one that is malformed."""
    try:
        return _encoded(registry, accept)
    except (ValueError, TypeError):  # the library compares the version without checking it
        return _encoded(registry, "")


def _encoded(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    encode, media_type = choose_encoder(accept)
    return encode(_InTurns(registry)), media_type


class _InTurns(Collector):
    """Collects a registry's metrics. A reader of their samples lets others run at the end of each turn."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        turn = Turn()
        for metric in self._registry.collect():
            # A copy of the values: what is counted meanwhile is in the next answer.
            metric.samples = _Samples(metric.samples, turn)
            yield metric
            turn.end_if_over()


class _Samples(list[Any]):
    """Samples whose reader lets others run between two of them."""

    def __init__(self, samples: Iterable[Any], turn: Turn) -> None:
        super().__init__(samples)
        self._turn = turn

    def __iter__(self) -> Iterator[Any]:
        for sample in super().__iter__():
            yield sample
            self._turn.end_if_over()
