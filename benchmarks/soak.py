"""Soak benchmark: one hub under a constant load for a long time, to find unbounded growth.

The memory and open files of every process and the lengths of all queues are sampled regularly. Latencies at
the end are compared with those at the beginning. The driver's own memory is not shown: it grows because the
driver stores all times of the run.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.charts import Line, lines
from benchmarks.driver import Driver
from benchmarks.figures import percentile
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.slope import Slope, slope
from benchmarks.story import story
from benchmarks.usage import cpu_seconds, open_files, resident_mebibytes
from sandbox.broker import PrivateBroker

# Caches fill and pools open at first: this part of the run is left out of every slope.
WARM_UP_SHARE: Final = 0.2
_SAMPLES_A_RUN: Final = 600
_SHORTEST_INTERVAL: Final = 1.0
_DRAIN_SECONDS: Final = 300.0
_QUEUED: Final = (
    "lists:sum([N || Q <- rabbit_amqqueue:list(), {messages, N} <- rabbit_amqqueue:info(Q, [messages]),"
    " is_integer(N)])"
)
# Quantities that must not grow.
_LENGTHS: Final[Mapping[str, Callable[[Sample], float]]] = {
    "messages in the broker": lambda sample: sample.queued,
    "rows in the outboxes": lambda sample: sample.outbox,
    "open files, all processes": lambda sample: sum(sample.files.values()),
    "MiB of write-ahead logs": lambda sample: sum(sample.wal.values()),
}
_STEPS: Final = ("submit_to_admission", "submit_to_offer", "submit_to_closed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """seconds: since the beginning; memory: MiB by process; files: number of open files by process.

    queued: messages in the broker; outbox: rows, of all services; wal: MiB of SQLite's write-ahead logs, and
    stored: of the databases, by service.
    """

    seconds: float
    closed: int
    cpu: Mapping[str, float]
    memory: Mapping[str, float]
    files: Mapping[str, int]
    queued: int
    outbox: int
    wal: Mapping[str, float]
    stored: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Soaked:
    """memory: growth in MiB an hour by process, after the warm-up; lengths: growth of _LENGTHS an hour.

    latency: milliseconds of each step in the first and the last third of the load, after the warm-up.
    """

    minutes: float
    rate: float
    loops: int
    memory: Mapping[str, Slope]
    lengths: Mapping[str, Slope]
    latency: Mapping[str, Mapping[str, Mapping[str, float]]]
    samples: Sequence[Sample]


def measure_soak(
    hub: KopuroHub, broker: PrivateBroker, *, minutes: float, rate: float, tell: Callable[[str], None]
) -> Soaked:
    """Run the soak on a started hub. Raises TimeoutError for open loops, Rejected for refusals."""
    return asyncio.run(_soak(hub, broker, minutes, rate, tell))


async def _soak(
    hub: KopuroHub, broker: PrivateBroker, minutes: float, rate: float, tell: Callable[[str], None]
) -> Soaked:
    seconds = 60 * minutes
    every = max(_SHORTEST_INTERVAL, seconds / _SAMPLES_A_RUN)
    samples: list[Sample] = []
    async with Driver(hub, story(hub.custody_key(), dt.datetime.now(dt.UTC))) as driver:
        begun = time.monotonic()

        async def watch() -> None:
            told = 0
            while True:
                # In a thread, so that sampling does not delay the driver.
                samples.append(await asyncio.to_thread(_sample, hub, broker, driver, begun))
                if samples[-1].seconds >= (told + 1) * 60:
                    told += 1
                    tell(_progress(samples[-1]))
                await asyncio.sleep(every)

        watching = asyncio.create_task(watch())
        await driver.offer_load(rate, seconds=seconds)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await driver.all_closed(_DRAIN_SECONDS)
        warm = begun + WARM_UP_SHARE * seconds
        third = (begun + seconds - warm) / 3
        latency = {
            step: {
                part: _percentiles(driver.timings.latencies(since, until)[step])
                for part, since, until in (
                    ("first third", warm, warm + third),
                    ("last third", warm + 2 * third, float("inf")),
                )
            }
            for step in _STEPS
        }
        return _soaked(samples, latency, minutes=minutes, rate=rate, loops=driver.closed)


def _sample(hub: KopuroHub, broker: PrivateBroker, driver: Driver, begun: float) -> Sample:
    assert broker.pid is not None
    pids = {**hub.pids(), "broker": broker.pid}
    databases = hub.databases()
    return Sample(
        seconds=time.monotonic() - begun,
        closed=driver.closed,
        cpu={name: cpu_seconds(pid) for name, pid in pids.items()},
        memory={name: resident_mebibytes(pid) for name, pid in pids.items()},
        files={name: open_files(pid) for name, pid in pids.items()},
        queued=int(broker.evaluate(_QUEUED)),
        outbox=hub.waiting(),
        wal={name: _mebibytes(Path(f"{path}-wal")) for name, path in databases.items()},
        stored={name: _mebibytes(path) for name, path in databases.items()},
    )


def _soaked(
    samples: Sequence[Sample],
    latency: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    minutes: float,
    rate: float,
    loops: int,
) -> Soaked:
    warm = [sample for sample in samples if sample.seconds >= WARM_UP_SHARE * 60 * minutes]
    hours = [sample.seconds / 3600 for sample in warm]
    return Soaked(
        minutes=minutes,
        rate=rate,
        loops=loops,
        memory={name: slope(hours, [sample.memory[name] for sample in warm]) for name in warm[0].memory},
        lengths={name: slope(hours, [of(sample) for sample in warm]) for name, of in _LENGTHS.items()},
        latency=latency,
        samples=samples,
    )


def tables_of(found: Soaked) -> list[tuple[list[str], list[list[str]]]]:
    """Return the tables of memory, lengths and latencies, each as header and rows."""
    first, last = found.samples[0], found.samples[-1]
    warm = next(s for s in found.samples if s.seconds >= WARM_UP_SHARE * 60 * found.minutes)
    memory = [
        [
            name,
            *(f"{sample.memory[name]:.1f}" for sample in (first, warm, last)),
            _written(grown),
            "yes" if grown.is_certain and grown.rate > 0 else "no",
        ]
        for name, grown in found.memory.items()
    ]
    after = [sample for sample in found.samples if sample.seconds >= warm.seconds]
    lengths = [
        [
            name,
            f"{percentile([of(sample) for sample in after], 0.5):,.0f}",
            f"{max(of(sample) for sample in after):,.0f}",
            _written(found.lengths[name]),
        ]
        for name, of in _LENGTHS.items()
    ]
    latency = [
        [
            step.replace("_", " "),
            *(f"{parts[part][p]:.0f}" for part in ("first third", "last third") for p in ("p50", "p99")),
        ]
        for step, parts in found.latency.items()
    ]
    stored = (last.closed - warm.closed) or 1
    disk = [
        [name, f"{last.stored[name]:.1f}", f"{1024 * (last.stored[name] - warm.stored[name]) / stored:.2f}"]
        for name in last.stored
    ]
    return [
        (["MiB", "at first", "warm", "at last", "an hour", "it grows"], memory),
        (["", "median", "highest", "change an hour"], lengths),
        (["ms", "first third p50", "p99", "last third p50", "p99"], latency),
        (["databases", "MiB at last", "KiB a loop"], disk),
    ]


def chart_of(found: Soaked) -> str:
    """Return a chart of memory by process over the run, as SVG."""
    shown = [
        Line(name=name, points=[(sample.seconds / 60, sample.memory[name]) for sample in found.samples])
        for name in found.memory
    ]
    unit = f"MiB resident by minute, at {found.rate:g} closed loops a second"
    return lines("Memory under a constant load", unit, shown)


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    return {"p50": 1000 * percentile(values, 0.5), "p99": 1000 * percentile(values, 0.99)}


def _progress(sample: Sample) -> str:
    return (
        f"soak: minute {sample.seconds / 60:.0f}: {sample.closed:,} closed, {sample.queued:,} messages in the"
        f" broker, {sum(sample.memory.values()):.0f} MiB in all"
    )


def _written(grown: Slope) -> str:
    return f"{grown.rate:+,.1f} ± {grown.error:,.1f}"


def _mebibytes(path: Path) -> float:
    return path.stat().st_size / 1024 / 1024 if path.exists() else 0.0
