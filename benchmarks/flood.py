"""The p50 and p99 of one partner's reads, alone and during each flood of another partner.

The attacker runs in a process of its own, so that it shares nothing with the reader but the machine.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.figures import percentile
from benchmarks.keepalive import Endpoint, Link, Links, Rejected
from benchmarks.story import story
from benchmarks.systems import System
from benchmarks.usage import resident_mebibytes

_READS = 50.0  # per second
_NESTED = b"[" + b",".join([b"[" * 51 + b"]" * 51] * 80_000) + b"]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flooded:
    """p50, p99: milliseconds of a read, from when it was due; memory: MiB of intake afterwards.

    failed: reads without an answer, which count with the time until they failed.
    """

    p50: float
    p99: float
    failed: int
    memory: float


def measure_flood(system: System, *, seconds: float = 5.0) -> Mapping[str, Flooded]:
    """Measure a started system alone, and under each flood of the sender of the sample story."""
    told = story(system.custody_key(), dt.datetime.now(dt.UTC))
    door, attacker = system.doors().intake, system.token(told.sender)
    victim = system.token(told.acceptors[0])
    batch = b"\n".join([told.body] * 1000)
    floods = {
        "alone": None,
        # The others leave work behind for routing, which answers the reads of the next measurement.
        "8 clients with a nested line of 8 MiB": ("/v1/referrals:batch", _NESTED, 8),
        "64 clients that submit": ("/v1/referrals", told.body, 64),
        "8 clients with batches of 1,000 lines": ("/v1/referrals:batch", batch, 8),
    }
    found: dict[str, Flooded] = {}
    for name, flood in floods.items():
        process = None
        if flood is not None:
            process = multiprocessing.get_context("spawn").Process(
                target=_attack, args=(door, attacker, *flood), daemon=True
            )
            process.start()
            time.sleep(2)  # until it has started
        try:
            latencies, failed = asyncio.run(_read(door, victim, seconds))
        finally:
            if process is not None:
                process.kill()
                process.join()
        found[name] = Flooded(
            p50=1000 * percentile(latencies, 0.5),
            p99=1000 * percentile(latencies, 0.99),
            failed=failed,
            memory=resident_mebibytes(system.pids()["intake"]),
        )
    return found


async def _read(door: Endpoint, token: str, seconds: float) -> tuple[list[float], int]:
    links = Links(door, token, 16)
    failed = 0

    async def one(due: float) -> float:
        nonlocal failed
        try:
            await links.done("GET", "/v1/referrals?limit=1")
        except (Rejected, OSError, asyncio.IncompleteReadError):
            failed += 1
        return time.monotonic() - due

    start, tasks = time.monotonic(), []
    try:
        for number in range(round(_READS * seconds)):
            due = start + number / _READS
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            tasks.append(asyncio.create_task(one(due)))
        return list(await asyncio.gather(*tasks)), failed
    finally:
        links.close()


def _attack(door: Endpoint, token: str, path: str, body: bytes, clients: int) -> None:
    async def client() -> None:
        link = Link(door, token)
        while True:
            try:
                await link.ask("POST", path, body)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)

    async def run() -> None:
        await asyncio.gather(*(client() for _ in range(clients)))

    asyncio.run(run())
