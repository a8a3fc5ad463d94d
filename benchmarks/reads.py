"""The most frequent reads of partners and auditors, one request at a time on an idle hub."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.figures import percentile
from benchmarks.keepalive import Link
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.story import story
from benchmarks.usage import read_usage

_AUDITOR: Final = "auditor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A read. path: the request path for a referral id, which most reads ignore."""

    name: str
    service: str
    reader: str
    path: Callable[[str], str]


def measure_reads(hub: KopuroHub, known: Sequence[str], count: int) -> dict[str, float]:
    """Return milliseconds as `<read> p50 ms`, `p99 ms` and `CPU ms` of all processes. known: ids to read.

    Raises Rejected.
    """
    sample = story(hub.custody_key(), dt.datetime.now(dt.UTC))
    acceptor = sample.acceptors[0]
    # The same ids in every round, so that caches are cold in the first and warm in the others on both sides.
    chance = random.Random(len(known))  # noqa: S311 - not a secret
    found: dict[str, float] = {}
    for read in _reads(sample.sender, acceptor):
        ids = [chance.choice(known) for _ in range(count)]
        used = _cpu_seconds(hub)
        taken = asyncio.run(_timed(hub, read, ids))
        found[f"{read.name} CPU ms"] = 1000 * (_cpu_seconds(hub) - used) / (count + 1)
        found[f"{read.name} p50 ms"] = 1000 * percentile(taken, 0.5)
        found[f"{read.name} p99 ms"] = 1000 * percentile(taken, 0.99)
    return found


def _reads(sender: str, acceptor: str) -> Sequence[Read]:
    def always(path: str) -> Callable[[str], str]:
        return lambda _: path

    return (
        Read(name="GET referral", service="intake", reader=sender, path=lambda id_: f"/v1/referrals/{id_}"),
        Read(name="list, sender", service="intake", reader=sender, path=always("/v1/referrals?limit=50")),
        Read(name="list, receiver", service="intake", reader=acceptor, path=always("/v1/referrals?limit=50")),
        Read(
            name="list, open",
            service="intake",
            reader=sender,
            path=always("/v1/referrals?limit=50&status=in_progress"),
        ),
        Read(
            name="list, closed",
            service="intake",
            reader=acceptor,
            path=always("/v1/referrals?limit=50&status=completed"),
        ),
        Read(
            name="decision",
            service="routing",
            reader=sender,
            path=lambda id_: f"/v1/referrals/{id_}/decision",
        ),
        Read(name="mailbox", service="delivery", reader=sender, path=always("/v1/mailbox?limit=50")),
        Read(name="history", service="audit", reader=_AUDITOR, path=lambda id_: f"/v1/history/{id_}"),
        Read(
            name="history, search",
            service="audit",
            reader=_AUDITOR,
            path=always(f"/v1/history?limit=50&organization={acceptor}&type=kopuro.offer.accepted.v1"),
        ),
    )


def _cpu_seconds(hub: KopuroHub) -> float:
    return sum(read_usage(hub.pids(), {}).cpu.values())


async def _timed(hub: KopuroHub, read: Read, ids: Sequence[str]) -> list[float]:
    link = Link(hub.door(read.service), hub.token(read.reader))
    taken = []
    try:
        await link.done("GET", read.path(ids[0]))
        for id_ in ids:
            begun = time.monotonic()
            await link.done("GET", read.path(id_))
            taken.append(time.monotonic() - begun)
    finally:
        link.close()
    return taken
