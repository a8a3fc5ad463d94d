"""The closed loop: from `POST /v1/referrals` to the completion in the sender's mailbox and in audit."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.driver import COMPLETED, Driver
from benchmarks.figures import percentile
from benchmarks.fsyncs import Tracing, is_possible
from benchmarks.story import story
from benchmarks.systems import System
from benchmarks.usage import Usage, between, read_usage

DRAIN_SECONDS = 120.0
_BATCH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The effort of a run. in_flight: open referrals at saturation; loads: referrals a second."""

    seconds: float = 12.0
    warm_up: float = 4.0
    in_flight: int = 300
    loads: tuple[float, ...] = ()
    load_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Figures of one phase. loops: number of closed loops; rate: closed loops a second, steady state."""

    rate: float
    loops: int
    latency_ms: Mapping[str, Mapping[str, float]]
    usage: Mapping[str, Mapping[str, float]]
    messages_a_loop: float
    commits_a_loop: float
    cpu_ms_a_loop: float
    # Answers that were repeated because intake did not know the offer yet.
    early_answers_a_loop: float

    def plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Observer:
    """Reads the resource usage of a system, its broker and this process."""

    system: System
    broker_pid: int
    _before: Usage | None = field(default=None, init=False)
    _published: int = field(default=0, init=False)

    def read(self) -> Usage:
        """Return the usage so far."""
        pids = {**self.system.pids(), "broker": self.broker_pid, "driver": os.getpid()}
        return read_usage(pids, self.system.databases())

    def begin(self) -> None:
        self._before, self._published = self.read(), self.system.published()

    def end(self, loops: int) -> tuple[dict[str, dict[str, float]], float]:
        """Return the usage by process and the number of published messages, both per closed loop."""
        assert self._before is not None
        # A peer's messages are counted on arrival: wait for the last ones.
        count = -1
        while count < (count := self.system.published()):
            time.sleep(0.2)
        return between(self._before, self.read(), loops), (count - self._published) / loops


def play(system: System, broker_pid: int, plan: Plan) -> dict[str, Measured]:
    """Run every phase of the plan on a started system: `saturation`, then `<load>/s` for each load.

    Raises TimeoutError when a loop does not close, Rejected when anything is refused.
    """
    return asyncio.run(_play(system, Observer(system=system, broker_pid=broker_pid), plan))


def count_fsyncs(
    system: System, broker_pid: int, directory: Path, *, load: float, seconds: float
) -> dict[str, float]:
    """Return the fsyncs per closed loop by process, at a fixed load; empty without strace."""
    if not is_possible():
        return {}

    async def run() -> tuple[int, Tracing]:
        async with Driver(system, _story(system)) as driver:
            with Tracing({**system.pids(), "broker": broker_pid}, directory) as tracing:
                await driver.offer_load(load, seconds=seconds)
                await driver.all_closed(DRAIN_SECONDS)
            return driver.closed, tracing

    loops, tracing = asyncio.run(run())
    return {name: count / loops for name, count in tracing.counts.items() if count is not None}


def close_loops(system: System, count: int) -> int:
    """Submit `count` referrals at once and wait for their end; return how many audit recorded as closed."""

    async def run() -> int:
        async with Driver(system, _story(system)) as driver:
            before = system.audited(COMPLETED)
            await driver.submit(count, as_batch=True)
            await driver.all_closed(DRAIN_SECONDS)
            await _audited(system, before + count)
            return system.audited(COMPLETED) - before

    return asyncio.run(run())


async def _play(system: System, observer: Observer, plan: Plan) -> dict[str, Measured]:
    sample = _story(system)
    measured = {}
    # A few loops first, to open connections and load code.
    async with Driver(system, sample) as driver:
        await driver.submit(20, as_batch=True)
        await driver.all_closed(DRAIN_SECONDS)
    for load in plan.loads:
        async with Driver(system, sample) as driver:
            measured[f"{load:g}/s"] = await _at_load(driver, system, observer, load, plan)
    async with Driver(system, sample) as driver:
        measured["saturation"] = await _saturated(driver, system, observer, plan)
    return measured


async def _saturated(driver: Driver, system: System, observer: Observer, plan: Plan) -> Measured:
    observer.begin()
    before = system.audited(COMPLETED)
    start = time.monotonic()
    window_begins, window_ends = start + plan.warm_up, start + plan.warm_up + plan.seconds
    submitting = asyncio.create_task(
        driver.keep_in_flight(plan.in_flight, until=window_ends, batch=min(_BATCH, plan.in_flight))
    )

    async def closed_at(moment: float) -> tuple[int, float]:
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        return min(driver.closed, system.audited(COMPLETED) - before), time.monotonic()

    first, began = await closed_at(window_begins)
    last, ended = await closed_at(window_ends)
    await submitting
    await driver.all_closed(DRAIN_SECONDS)
    await _audited(system, before + driver.submitted)
    return _measured(driver, observer, (last - first) / (ended - began), since=window_begins)


async def _at_load(driver: Driver, system: System, observer: Observer, load: float, plan: Plan) -> Measured:
    observer.begin()
    before = system.audited(COMPLETED)
    start = time.monotonic()
    await driver.offer_load(load, seconds=plan.load_seconds)
    await driver.all_closed(DRAIN_SECONDS)
    await _audited(system, before + driver.submitted)
    # The first second warms up caches that are cold on an idle system.
    closed = sorted(driver.timings.closed.values())
    rate = len(closed) / (closed[-1] - start)
    return _measured(driver, observer, rate, since=start + 1)


def _measured(driver: Driver, observer: Observer, rate: float, *, since: float) -> Measured:
    usage, messages = observer.end(driver.closed)
    return Measured(
        rate=rate,
        loops=driver.closed,
        latency_ms={
            name: {
                "p50": 1000 * percentile(values, 0.5),
                "p99": 1000 * percentile(values, 0.99),
                "highest": 1000 * max(values, default=float("nan")),
            }
            for name, values in driver.timings.latencies(since).items()
        },
        usage=usage,
        messages_a_loop=messages,
        commits_a_loop=sum(usage["commits_a_loop"].values()),
        cpu_ms_a_loop=sum(usage["cpu_ms_a_loop"].values()),
        early_answers_a_loop=driver.early_answers / driver.closed,
    )


async def _audited(system: System, count: int) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while (found := system.audited(COMPLETED)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"audit has {found} of {count} completions")
        await asyncio.sleep(0.02)


def _story(system: System) -> Any:
    return story(system.custody_key(), dt.datetime.now(dt.UTC))
