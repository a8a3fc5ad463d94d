"""Prometheus metrics of the published log, its witnesses and its inspection."""

from __future__ import annotations

import datetime as dt
import math

from prometheus_client import CollectorRegistry, Gauge

from services.audit.log.handlers.inspector import Inspector
from services.audit.log.handlers.published_log import PublishedLog


class PublicationFigures:
    """`cosigner.WitnessFigures`, and the sizes of the published checkpoints."""

    def __init__(self, registry: CollectorRegistry, published: PublishedLog) -> None:
        size = Gauge("kopuro_log_published_size", "Tree size of the published checkpoint", registry=registry)
        size.set_function(lambda: published.size)
        cosigned = Gauge(
            "kopuro_log_cosigned_size",
            "Tree size of the newest checkpoint with enough cosignatures",
            registry=registry,
        )
        cosigned.set_function(lambda: 0 if published.cosigned is None else published.cosigned.size)
        labels = ("witness",)
        self._size = Gauge(
            "kopuro_log_witness_size",
            "Tree size of the witness's last cosignature",
            labels,
            registry=registry,
        )
        self._age = Gauge(
            "kopuro_log_witness_age_seconds",
            "Age of the witness's last cosignature; infinite before the first one",
            labels,
            registry=registry,
        )
        self._stale = Gauge(
            "kopuro_log_witness_stale",
            "1 when the witness gave no cosignature for an hour",
            labels,
            registry=registry,
        )
        self._disputes = Gauge(
            "kopuro_log_witness_disputes",
            "1 when the witness cosigned a history that contradicts the published log",
            labels,
            registry=registry,
        )

    def show(self, witness: str, *, size: int, age: dt.timedelta | None, stale: bool, disputes: bool) -> None:
        """See `cosigner.WitnessFigures`."""
        self._size.labels(witness).set(size)
        self._age.labels(witness).set(math.inf if age is None else age.total_seconds())
        self._stale.labels(witness).set(stale)
        self._disputes.labels(witness).set(disputes)


def show_inspection(registry: CollectorRegistry, inspector: Inspector) -> None:
    """Register the metrics of the inspection."""
    damaged = Gauge("kopuro_log_damaged", "1 when a stored entry was changed", registry=registry)
    damaged.set_function(lambda: inspector.is_damaged)
    position = Gauge(
        "kopuro_log_inspected_size",
        "Entries that the current inspection round has verified",
        registry=registry,
    )
    position.set_function(lambda: inspector.position)
    age = Gauge(
        "kopuro_log_inspection_age_seconds",
        "Time since the last complete inspection without findings began; NaN while another process inspects",
        registry=registry,
    )
    age.set_function(lambda: _seconds(inspector.since_whole))


def _seconds(age: dt.timedelta | None) -> float:
    return math.nan if age is None else age.total_seconds()
