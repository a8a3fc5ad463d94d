"""Routing's metrics: the state of the network, and what has happened to offers and referrals (ADR 0048).

Every series exists from the start, with the value 0. Gauges describe routing's database, so every process of
routing shows the same: take their maximum. Counters and the histogram count what this process did: add them
up.

No series stands for one person: by need and country, referrals are counted in fives. A program keeps what it
scrapes, and nobody records who reads it.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts.codes import ReferralStatus, Urgency
from contracts.errors import KopuroError
from contracts.vocabularies import codes, country_of, need_group
from runtime.clock import Clock
from services.routing.domain.coverage import FRESH
from services.routing.domain.network_figures import NetworkFigures
from services.routing.domain.referral import REFERRAL_TRANSITIONS
from services.routing.domain.tally import REASONS, UNPLACED_REASONS, Tally
from services.routing.domain.withholding import THRESHOLD

OPEN_STATUSES: Final = tuple(status for status, events in REFERRAL_TRANSITIONS.items() if events)
NEED_GROUPS: Final = tuple(sorted({need_group(code) for code in codes("needs")}))
COUNTRIES: Final = tuple(sorted({country_of(code) for code in codes("regions")}))

# Several scrapers, or one in a hurry, read the database once in this time.
KEPT: Final = dt.timedelta(seconds=5)

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
# Seconds, finest around the answer times of emergencies.
ANSWER_BUCKETS: Final = (
    *(_MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 20, 30)),
    *(_HOUR * hours for hours in (1, 2, 4, 8, 12)),
    *(_DAY * days for days in (1, 2, 4, 7, 14)),
)


class RoutingCounters:
    """Counters of this process: offers that ended, answers, referrals left unplaced."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._closed = Counter(
            "kopuro_offers_closed",
            "Offers that ended, by result, urgency and reason",
            ("result", "urgency", "reason"),
            registry=registry,
        )
        self._answers = Histogram(
            "kopuro_offer_answer_seconds",
            "Time from an offer's opening to the receipt of its answer by the hub, in seconds",
            ("urgency",),
            buckets=ANSWER_BUCKETS,
            registry=registry,
        )
        self._unplaced = Counter(
            "kopuro_unplaced",
            "Referrals that were left to a coordinator, by reason; each time counts",
            ("reason",),
            registry=registry,
        )
        for urgency in Urgency:
            self._answers.labels(urgency)
            for result, reasons in REASONS.items():
                for reason in reasons:
                    self._closed.labels(result, urgency, reason)
        for reason in UNPLACED_REASONS:
            self._unplaced.labels(reason)

    def count(self, tally: Tally) -> None:
        """Add the sums of a transaction that has committed."""
        for end in tally.ended:
            self._closed.labels(end.result, end.urgency, end.reason).inc()
            if end.answer_seconds is not None:
                self._answers.labels(end.urgency).observe(end.answer_seconds)
        for reason in tally.unplaced:
            self._unplaced.labels(reason).inc()


class RoutingMetrics(Collector):
    """The state of the network at a scrape. While the database is unavailable it yields nothing."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        figures: Callable[[], NetworkFigures],
        stale_services: Callable[[dt.datetime], int],
        clock: Clock,
    ) -> None:
        """stale_services: returns the services whose stated capacity is too old at a time."""
        self._figures = figures
        self._stale_services = stale_services
        self._clock = clock
        self._reading = threading.Lock()
        self._last: tuple[NetworkFigures, dt.datetime] | None = None
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families without values, so that registration does not read the database."""
        yield from (_open(), _open_by_need(), _oldest(), _offers(), _overdue(), _suspended(), _stale())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families; ages count up to now, from figures of the last five seconds."""
        now = self._clock.now()
        stale = _stale()
        stale.add_metric([], self._stale_services(now))
        yield stale
        try:
            figures = self._recent(now)
        except KopuroError:
            return
        yield from _families(figures, now)

    def _recent(self, now: dt.datetime) -> NetworkFigures:
        with self._reading:
            if self._last is None or not self._last[1] <= now < self._last[1] + KEPT:
                self._last = (self._figures(), now)
            return self._last[0]


def _families(figures: NetworkFigures, now: dt.datetime) -> Iterator[GaugeMetricFamily]:
    counts: dict[tuple[str, ...], int] = dict.fromkeys(itertools.product(OPEN_STATUSES, Urgency), 0)
    by_need: dict[tuple[str, ...], int] = dict.fromkeys(itertools.product(NEED_GROUPS, COUNTRIES), 0)
    oldest: dict[tuple[ReferralStatus, Urgency], dt.datetime] = {}
    for one in figures.open:
        kind = (one.status, one.urgency)
        counts[kind] += one.referrals
        by_need[one.need_group, one.country] += one.referrals
        oldest[kind] = min(one.oldest, oldest.get(kind, one.oldest))
    opened, needs, ages = _open(), _open_by_need(), _oldest()
    offers, overdue, suspended = _offers(), _overdue(), _suspended()
    for labels, count in counts.items():
        opened.add_metric(labels, count)
    for labels, count in by_need.items():
        needs.add_metric(labels, count // THRESHOLD * THRESHOLD)
    for status, urgency in itertools.product(OPEN_STATUSES, Urgency):
        ages.add_metric([status, urgency], _seconds(oldest.get((status, urgency)), now))
    for urgency in Urgency:
        offers.add_metric([urgency], _seconds(figures.oldest_offers.get(urgency), now))
    overdue.add_metric([], figures.overdue)
    suspended.add_metric([], figures.acceptor_suspended)
    yield from (opened, needs, ages, offers, overdue, suspended)


def _seconds(since: dt.datetime | None, now: dt.datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _open() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_referrals_open", "Open referrals, by status and urgency", labels=["status", "urgency"]
    )


def _open_by_need() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_referrals_open_by_need",
        "Open referrals, by group of the first need and country of the region, rounded down to a multiple of"
        f" {THRESHOLD}",
        labels=["need_group", "country"],
    )


def _oldest() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_referrals_oldest_seconds",
        "Time since the oldest open referral was submitted, in seconds; 0 if there is none",
        labels=["status", "urgency"],
    )


def _offers() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_offers_open_oldest_seconds",
        "Time since the oldest open offer was opened, in seconds; 0 if there is none",
        labels=["urgency"],
    )


def _overdue() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_referrals_overdue", "Accepted referrals whose progress report is overdue", labels=[]
    )


def _suspended() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_referrals_acceptor_suspended",
        "Accepted referrals whose acceptor is suspended, has left the network or is inactive",
        labels=[],
    )


def _stale() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "kopuro_directory_stale_services",
        f"Services of organisations in good standing whose stated capacity is older than {FRESH.days} days",
        labels=[],
    )
