"""The vault's metrics: the cases whose release is paused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts.errors import KopuroError
from runtime.clock import Clock


class VaultMetrics(Collector):
    """Counts paused cases on each scrape."""

    def __init__(
        self,
        registry: CollectorRegistry,
        paused: Callable[[dt.datetime], tuple[int, dt.datetime | None]],
        clock: Clock,
    ) -> None:
        """paused: returns the number of paused cases at a time, and when the oldest was paused."""
        self._paused = paused
        self._clock = clock
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families without values, so that registration does not read the database."""
        yield from self._families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the number and the age of the oldest; nothing while the database is unavailable."""
        now = self._clock.now()
        try:
            number, since = self._paused(now)
        except KopuroError:
            return
        count, age = self._families()
        count.add_metric([], number)
        age.add_metric([], 0.0 if since is None else max(0.0, (now - since).total_seconds()))
        yield count
        yield age

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("kopuro_cases_paused", "Accepted cases whose release is paused", labels=[]),
            GaugeMetricFamily(
                "kopuro_cases_paused_oldest_seconds", "Age of the oldest pause; 0 if there is none", labels=[]
            ),
        )
