"""Before the copy of the directory is complete nothing is decided: everybody would seem to be missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.errors import Unavailable
from runtime.messaging.ports import Delivery

# Each time that a batch goes back to its queue the broker counts a redelivery, up to a limit, so a batch
# is held for a while first; but not so long that a stopping process would have to wait for it.
HELD_SECONDS = 2.0
_LOOKS = 20


class Processor(Protocol):
    """What takes deliveries (`batches.BatchProcessor`)."""

    def process(self, deliveries: Sequence[Delivery]) -> None: ...


class AfterDirectory:
    """Lets facts through to their processor once the directory's copy is complete."""

    def __init__(self, processor: Processor, unready: Callable[[], str | None]) -> None:
        """unready: the copy's readiness check, None when it is complete."""
        self._processor = processor
        self._unready = unready

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Raises Unavailable while the copy is not complete; the deliveries then come again."""
        pause = threading.Event()
        for _ in range(_LOOKS):
            if self._unready() is None:
                self._processor.process(deliveries)
                return
            pause.wait(HELD_SECONDS / _LOOKS)
        raise Unavailable("The copy of the directory is not complete yet.")
