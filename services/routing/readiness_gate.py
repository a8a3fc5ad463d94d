"""Before the copy of the directory is complete nothing is decided: everybody would seem to be missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.errors import Unavailable
from runtime.messaging.ports import Delivery


class Processor(Protocol):
    """What takes deliveries (`batches.BatchProcessor`)."""

    def process(self, deliveries: Sequence[Delivery]) -> None: ...


class ReadinessGate:
    """Lets facts through to their processor once the directory's copy is complete."""

    def __init__(self, processor: Processor, unready: Callable[[], str | None]) -> None:
        """unready: the copy's readiness check, None when it is complete."""
        self._processor = processor
        self._unready = unready

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Raises Unavailable while the copy is not complete."""
        if (reason := self._unready()) is not None:
            raise Unavailable(reason)
        self._processor.process(deliveries)
