"""Mixed requests to intake, valid and hostile: the answers, and the processor time that each kind takes."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from benchmarks.figures import percentile
from benchmarks.keepalive import Endpoint, Link
from benchmarks.story import story
from benchmarks.systems import System

REQUESTS: Final = 20_000
_CLIENTS = 8
# Requests of each kind that are sent alone, to measure their processor time.
_ALONE = 20
_HEAVY: Final = 256 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of request. token: instead of the partner's own."""

    method: str
    path: str
    body: bytes = b""
    token: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """answers: number of requests by status; 0 stands for a connection that was closed without one.

    cpu_ms: by kind, the median and the highest milliseconds of intake's processor time for one request.
    """

    answers: Mapping[int, int]
    cpu_ms: Mapping[str, tuple[float, float]]

    @property
    def failed(self) -> int:
        """The number of 5xx responses."""
        return sum(count for status, count in self.answers.items() if status >= 500)


def kinds_of_requests(body: bytes) -> dict[str, Kind]:
    """Return the kinds by name. body: of a valid submission."""
    document = orjson.loads(body)
    unsealed = orjson.dumps({**document, "case": {"name": "x"}})
    unsafe = orjson.dumps({**document, "age": 0}).replace(b'"age":0', b'"age":' + b"9" * 4_000)
    many = orjson.dumps({f"member-{n}": n for n in range(_HEAVY // 20)})
    repeated = b"{" + b",".join([b'"needs":[]'] * (_HEAVY // 16)) + b"}"
    deep = b"[" * _HEAVY + b"]" * _HEAVY
    header = base64.urlsafe_b64encode(
        orjson.dumps({"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": 2**31 - 1, "p2s": "AA"})
    )
    costly = orjson.dumps({**document, "case": (header + b".AA.AA.AA.AA").decode()})

    def posted(content: bytes, path: str = "/v1/referrals") -> Kind:
        return Kind(method="POST", path=path, body=content)

    parameters = "&".join(f"p{number}=1" for number in range(400))
    return {
        "submission": posted(body),
        "list": Kind(method="GET", path="/v1/referrals?limit=1"),
        "unknown referral": Kind(method="GET", path="/v1/referrals/018f0000-0000-7000-8000-000000000001"),
        "unknown path": Kind(method="GET", path="/v1/" + "x" * 2_000),
        "unknown parameter": Kind(method="GET", path=f"/v1/referrals?{parameters}"),
        "not JSON": posted(b"\xff" * _HEAVY),
        "empty": posted(b""),
        "deep": posted(deep),
        "many members": posted(many),
        "repeated member": posted(repeated),
        "long number": posted(unsafe),
        "case that is not sealed": posted(unsealed),
        "case with a costly password": posted(costly),
        "batch of deep lines": posted(b"\n".join([deep[:999]] * 200), "/v1/referrals:batch"),
        "long token": Kind(method="GET", path="/v1/referrals", token="x" * 6_000),
        "unsigned token": Kind(method="GET", path="/v1/referrals", token="eyJhbGciOiJub25lIn0.e30."),  # noqa: S106
    }


def measure_mixed(system: System, *, requests: int = REQUESTS, seed: int = 7) -> Mixed:
    """Send the kinds alone, one after the other, and then `requests` of them mixed."""
    told = story(system.custody_key(), dt.datetime.now(dt.UTC))
    kinds = kinds_of_requests(told.body)
    door, token, pid = system.doors().intake, system.token(told.sender), system.pids()["intake"]
    return asyncio.run(_measure(door, token, pid, kinds, requests, random.Random(seed)))  # noqa: S311


def tables_of(mixed: Mixed) -> list[tuple[list[str], list[list[str]]]]:
    """Return the tables of the answers and of the processor times."""
    answers = [[str(status or "closed"), f"{count:,}"] for status, count in mixed.answers.items()]
    times = [[name, f"{median:.1f}", f"{highest:.1f}"] for name, (median, highest) in mixed.cpu_ms.items()]
    return [
        (["answer", "requests"], [*answers, ["5xx", str(mixed.failed)]]),
        (["one request", "CPU ms, median", "highest"], times),
    ]


async def _measure(
    door: Endpoint, token: str, pid: int, kinds: Mapping[str, Kind], requests: int, drawn: random.Random
) -> Mixed:
    answers: Counter[int] = Counter()

    async def send(link: Link, kind: Kind) -> None:
        link.bear(kind.token or token)
        status = 0
        with suppress(OSError, asyncio.IncompleteReadError):
            status, _ = await link.ask(kind.method, kind.path, kind.body)
        answers[status] += 1

    cpu_ms = {}
    alone = Link(door, token)
    for name, kind in kinds.items():
        taken = []
        for _ in range(_ALONE):
            before = cpu_nanoseconds(pid)
            await send(alone, kind)
            taken.append((cpu_nanoseconds(pid) - before) / 1_000_000)
        cpu_ms[name] = (percentile(taken, 0.5), max(taken))
    alone.close()
    answers.clear()
    left = [drawn.choice(list(kinds.values())) for _ in range(requests)]

    async def client() -> None:
        link = Link(door, token)
        while left:
            await send(link, left.pop())
        link.close()

    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return Mixed(answers=dict(sorted(answers.items())), cpu_ms=cpu_ms)


def cpu_nanoseconds(pid: int) -> int:
    """Return the processor time of all threads of a process. Source: Documentation/scheduler/sched-stats."""
    return sum(
        int((task / "schedstat").read_text(encoding="ascii").split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    )
