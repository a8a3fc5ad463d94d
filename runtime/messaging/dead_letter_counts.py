"""The number of messages in each consumer's dead-letter queue. They have not taken effect.

The counts come from the broker, because it dead-letters messages as well and operators remove them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prometheus_client import Gauge

from contracts.topology import dead_letter_queue_name
from runtime.messaging.ports import BrokerUnavailable, QueueReader

_log = logging.getLogger(__name__)


class DeadLetterCounts:
    """The dead-letter counts of one process's consumers; kept while the broker is unreachable."""

    def __init__(self, reader: QueueReader, gauge: Gauge) -> None:
        """gauge: labelled by consumer."""
        self._reader = reader
        self._gauge = gauge
        self._counts: dict[str, int] = {}

    def refresh(self, consumers: Sequence[str]) -> bool:
        """Read the counts once; log an error for each consumer with more dead letters than before.

        Return whether the broker answered.
        """
        try:
            found = self._reader.counts([dead_letter_queue_name(consumer) for consumer in consumers])
        except BrokerUnavailable as error:
            _log.debug("dead letters not counted", extra={"reason": str(error)})
            return False
        for consumer in consumers:
            count = found[dead_letter_queue_name(consumer)]
            if count > self._counts.get(consumer, 0):
                _log.error("dead letters waiting", extra={"consumer": consumer, "count": count})
            self._counts[consumer] = count
            self._gauge.labels(consumer).set(count)
        return True

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: each consumer with dead letters, and the command that lists them."""
        texts = [
            f"{count} dead letter{'' if count == 1 else 's'} of {consumer}, without effect until replayed: "
            f"`kopuro admin dead-letters list --consumer {consumer}`"
            for consumer, count in self._counts.items()
            if count
        ]
        return "; ".join(texts) or None

    def close(self) -> None:
        """Close the connection to the broker."""
        self._reader.close()
