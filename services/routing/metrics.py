"""Routing's own figures: how many referrals wait, and for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts.errors import KopuroError


class RoutingMetrics(Collector):
    """Counted when somebody looks: nothing is kept up to date that nobody reads."""

    def __init__(self, registry: CollectorRegistry, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The family without values: registering must not read the database."""
        yield self._family()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge a status; nothing while the database cannot be read."""
        family = self._family()
        try:
            for status, count in self._counts().items():
                family.add_metric([status], count)
        except KopuroError:
            return
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "kopuro_referrals_open", "Referrals that have not ended, by status", labels=["status"]
        )
