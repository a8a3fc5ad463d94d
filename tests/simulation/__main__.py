"""`python -m tests.simulation --seeds 10000 [--first 100000]`, or `--seed 4711` to see one story fail."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.seeds import failure_of, remember
from tests.simulation.story import WIDE

_AT_ONCE = 50


def main(arguments: list[str]) -> int:
    """1 when a story fails; its seed is then written to `regressions.txt`. After Ctrl-C 130."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="number of stories")
    parser.add_argument("--first", type=int, default=100_000, help="first seed")
    parser.add_argument(
        "--seed", type=int, help="run the story of this seed in this process and show its traceback"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        if failure := failure_of(chosen.seed):
            raise failure
        return 0
    began, failed = time.monotonic(), 0
    stop = chosen.first + chosen.seeds
    spans = [range(n, min(n + _AT_ONCE, stop)) for n in range(chosen.first, stop, _AT_ONCE)]
    # Every other one has stories of the wider kind.
    spans[1::2] = [range(span.start + WIDE, span.stop + WIDE) for span in spans[1::2]]
    try:
        with ProcessPoolExecutor(chosen.workers, initializer=_settle) as workers:
            for failures in workers.map(_tell, spans):
                for seed, reason in failures:
                    failed += 1
                    remember(seed, reason)
                    sys.stdout.write(f"seed {seed}: {reason}\n")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    seconds = time.monotonic() - began
    rate = f"{60 * chosen.seeds / seconds:.0f} a minute"
    sys.stdout.write(f"{chosen.seeds} stories in {seconds:.0f} s, {rate}; {failed} failed\n")
    return 1 if failed else 0


def _settle() -> None:
    """Run one story, then exclude the surviving objects from garbage collection."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker at once, without output
    failure_of(0)
    gc.freeze()


def _tell(seeds: Iterable[int]) -> list[tuple[int, str]]:
    return [(seed, repr(failure)[:300]) for seed in seeds if (failure := failure_of(seed)) is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
