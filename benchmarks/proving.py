"""Measurement of proofs per second, for any contender."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from benchmarks.stopwatch import Stopwatch


def prove_some(
    one: Callable[[int], object], *, size: int, proofs: int, warm_up: float, seed: int
) -> dict[str, float]:
    """Return `rate`, proofs per second, and `cpu_us`, CPU time per proof.

    one: makes the proof of an entry, drawn at random from `size` entries. warm_up: seconds that fill caches
    before the measurement.
    """
    drawn = random.Random(seed)  # noqa: S311 - reproducible, the same for every contender
    until = time.perf_counter() + warm_up
    while time.perf_counter() < until:
        one(drawn.randrange(size))
    indices = [drawn.randrange(size) for _ in range(proofs)]
    watch = Stopwatch()
    with watch:
        for index in indices:
            one(index)
    return {"rate": proofs / watch.seconds, "cpu_us": 1e6 * watch.cpu / proofs}
