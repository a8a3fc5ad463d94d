"""Single `POST /v1/referrals` requests: maximum rate of one intake process, and latency at half of that.

Both are measured twice: with the other services stopped (SIGSTOP), as if intake had a processor of its own,
and with all services running on the same machine.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.figures import percentile
from benchmarks.keepalive import Links
from benchmarks.story import story
from benchmarks.systems import System


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitting:
    """rate: requests a second at full speed; p50, p99: milliseconds at half of it, from when each was due."""

    rate: float
    p50: float
    p99: float


def measure_submit(system: System, *, alone: bool, connections: int = 16, seconds: float = 5.0) -> Submitting:
    """Measure a started system. alone: the other services are stopped meanwhile."""
    told = story(system.custody_key(), dt.datetime.now(dt.UTC))
    links = Links(system.doors().intake, system.token(told.sender), connections)

    async def run() -> Submitting:
        try:
            await _at_full_speed(links, told.body, connections, 1.0)
            rate = len(await _at_full_speed(links, told.body, connections, seconds)) / seconds
            latencies = await _at_rate(links, told.body, rate / 2, seconds)
        finally:
            links.close()
        return Submitting(
            rate=rate, p50=1000 * percentile(latencies, 0.5), p99=1000 * percentile(latencies, 0.99)
        )

    others = {name: pid for name, pid in system.pids().items() if name != "intake"}
    with _stopped(others.values() if alone else []):
        return asyncio.run(run())


async def _at_full_speed(links: Links, body: bytes, connections: int, seconds: float) -> list[float]:
    until = time.monotonic() + seconds
    latencies: list[float] = []

    async def client() -> None:
        async with links.one() as link:
            while (begun := time.monotonic()) < until:
                await link.done("POST", "/v1/referrals", body)
                latencies.append(time.monotonic() - begun)

    await asyncio.gather(*(client() for _ in range(connections)))
    return latencies


async def _at_rate(links: Links, body: bytes, rate: float, seconds: float) -> list[float]:
    start, tasks = time.monotonic(), []

    async def one(due: float) -> float:
        await links.done("POST", "/v1/referrals", body)
        return time.monotonic() - due

    for number in range(round(rate * seconds)):
        due = start + number / rate
        if (left := due - time.monotonic()) > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(one(due)))
    return list(await asyncio.gather(*tasks))


@contextmanager
def _stopped(pids: Iterable[int]) -> Iterator[None]:
    stopped: list[int] = []
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
