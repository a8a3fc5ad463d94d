"""Routing's metrics: the number of open referrals by status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts.errors import KopuroError


class RoutingMetrics(Collector):
    """Counts open referrals on each scrape."""

    def __init__(self, registry: CollectorRegistry, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family without values, so that registration does not read the database."""
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one gauge per status; nothing while the database is unavailable."""
        family = self._family()
        try:
            for status, count in self._counts().items():
                family.add_metric([status], count)
        except KopuroError:
            return
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily("kopuro_referrals_open", "Open referrals by status", labels=["status"])
