"""A gate that holds back facts until the directory replica is complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.errors import Unavailable
from runtime.messaging.ports import Delivery


class Processor(Protocol):
    """A consumer of deliveries (`batches.BatchProcessor`)."""

    def process(self, deliveries: Sequence[Delivery]) -> None: ...


class ReadinessGate:
    """Passes deliveries to the processor once the replica is complete.

    Decisions on an incomplete directory would miss candidates.
    """

    def __init__(self, processor: Processor, unready: Callable[[], str | None]) -> None:
        """unready: returns why the replica is not ready, or None."""
        self._processor = processor
        self._unready = unready

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Process the deliveries. Raises Unavailable while the replica is incomplete."""
        if (reason := self._unready()) is not None:
            raise Unavailable(reason)
        self._processor.process(deliveries)
