"""Time by the clock, and of the processor: the second suffers less from what else a machine does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(slots=True)
class Stopwatch:
    """Adds up what its `with` blocks take. seconds: by the clock; cpu: of this process, all its threads."""

    seconds: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> Self:
        self.cpu -= time.process_time()
        self.seconds -= time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()
