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
    """How long and how hard. in_flight: open referrals at saturation; loads: referrals a second."""

    seconds: float = 12.0
    warm_up: float = 4.0
    in_flight: int = 300
    loads: tuple[float, ...] = ()
    load_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One phase. loops: closed in all; rate: closed loops a second while it was steady."""

    rate: float
    loops: int
    latency_ms: Mapping[str, Mapping[str, float]]
    usage: Mapping[str, Mapping[str, float]]
    messages_a_loop: float
    commits_a_loop: float
    cpu_ms_a_loop: float
    # Answers to offers that intake had not heard of yet, said again: a loop that waits for no one.
    early_answers_a_loop: float

    def plain(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Observer:
    """Reads what a system, its broker and this process use."""

    system: System
    broker_pid: int
    _before: Usage | None = field(default=None, init=False)
    _published: int = field(default=0, init=False)

    def read(self) -> Usage:
        """What is used up to now."""
        pids = {**self.system.pids(), "broker": self.broker_pid, "driver": os.getpid()}
        return read_usage(pids, self.system.databases())

    def begin(self) -> None:
        self._before, self._published = self.read(), self.system.published()

    def end(self, loops: int) -> tuple[dict[str, dict[str, float]], float]:
        """Per closed loop: what was used by process, and how many messages were published."""
        assert self._before is not None
        # A peer's messages are counted where they arrive: the last ones are still on their way.
        count = -1
        while count < (count := self.system.published()):
            time.sleep(0.2)
        return between(self._before, self.read(), loops), (count - self._published) / loops


def play(system: System, broker_pid: int, plan: Plan) -> dict[str, Measured]:
    """Runs every phase of the plan on a started system: `saturation`, then `<load>/s` for each load.

    Raises TimeoutError when a loop does not close, Rejected when anything is refused.
    """
    return asyncio.run(_play(system, Observer(system=system, broker_pid=broker_pid), plan))


def count_fsyncs(
    system: System, broker_pid: int, directory: Path, *, load: float, seconds: float
) -> dict[str, float]:
    """fsyncs a closed loop by process, at a fixed load that tracing allows; empty where strace is missing."""
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
    """Submits so many referrals at once and waits for all; returns how many are closed in audit too."""

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
    # A first few, so that connections are open and code is loaded.
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
    # The first second warms up what an idle system has let go cold.
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
