"""How many messages each consumer's parking queue holds: what was parked has not taken effect.

The broker is asked, not our own parking: it parks messages too, and an operator takes them out again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prometheus_client import Gauge

from contracts.topology import dead_letter_queue_name
from runtime.messaging.ports import BrokerUnavailable, QueueReader

_log = logging.getLogger(__name__)


class ParkedCounts:
    """Of one process's consumers. Without the broker, the last counts stand."""

    def __init__(self, reader: QueueReader, gauge: Gauge) -> None:
        """gauge: labelled by consumer."""
        self._reader = reader
        self._gauge = gauge
        self._counts: dict[str, int] = {}

    def look(self, consumers: Sequence[str]) -> None:
        """Asks the broker once; logs an error for each consumer with more parked messages than before."""
        try:
            found = self._reader.counts([dead_letter_queue_name(consumer) for consumer in consumers])
        except BrokerUnavailable as error:
            _log.debug("parked messages not counted", extra={"reason": str(error)})
            return
        for consumer in consumers:
            count = found[dead_letter_queue_name(consumer)]
            if count > self._counts.get(consumer, 0):
                _log.error("messages are parked", extra={"consumer": consumer, "count": count})
            self._counts[consumer] = count
            self._gauge.labels(consumer).set(count)

    def alarm(self) -> str | None:
        """For `/readyz`: each consumer that has parked messages, and how to see them."""
        texts = [
            f"{count} parked by {consumer}, without effect until replayed: "
            f"`kopuro dead-letters list --consumer {consumer}`"
            for consumer, count in self._counts.items()
            if count
        ]
        return "; ".join(texts) or None

    def close(self) -> None:
        """Ends the connection to the broker."""
        self._reader.close()
