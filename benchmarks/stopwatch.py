"""A stopwatch for wall-clock and CPU time. Other load on the machine affects CPU time less."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self


@dataclass(slots=True)
class Stopwatch:
    """Adds up its `with` blocks. seconds: wall clock; cpu: CPU seconds of this process, all threads."""

    seconds: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> Self:
        self.cpu -= time.process_time()
        self.seconds -= time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()
