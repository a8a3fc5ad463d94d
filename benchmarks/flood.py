"""The p50 and p99 of one partner's reads, alone and during each attack of another partner.

The hub has the limits that it is shipped with. Alone and under attack alternate within one run, because
nothing else makes two figures comparable on a machine that others use too: the attack is stopped for each
phase alone.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isnan
from statistics import median
from typing import Final

import orjson

from benchmarks.amqp_submissions import connected
from benchmarks.attacks import Attack, Drips, Messages, Requests, running
from benchmarks.figures import Estimate, percentile, percentiles_ratio
from benchmarks.keepalive import Endpoint, Links, Rejected
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.story import SampleReferral, story
from benchmarks.usage import cpu_seconds, resident_mebibytes
from benchmarks.webhooks import receiving
from runtime.messaging.rabbit.connection import ConnectionFactory, close
from sandbox.hub_files import HUB
from services.gateway.domain.partner import submissions_of

_READS: Final = 25.0  # per second, half of the rate of one organisation
_NESTED: Final = b"[" + b",".join([b"[" * 51 + b"]" * 51] * 80_000) + b"]"
# Another partner has an address of its own. The attacks come from 127.0.0.1.
_VICTIM: Final = "127.0.0.2"
_INTAKE_READ: Final = "/v1/referrals?limit=1"
_DELIVERY_READ: Final = "/v1/mailbox?limit=1"
# After an attack is resumed, it first uses up what it may send again since it was stopped.
_RESUME_SECONDS: Final = 8.0
_QUIET_SECONDS: Final = 240.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Flooded:
    """The reads of one partner during one attack. Times in milliseconds, from when a read was due.

    alone, attacked: p50 and p99 of the reads of all rounds. first: the p99 while the attacker uses up what it
    may send at once; NaN: not measured. ratio: of the two p99. failed: reads without an answer. cpu: seconds
    of processor time that the hub's services used in a second of attack, above those in a second alone; the
    median of the rounds. memory: MiB of intake afterwards.
    """

    alone: tuple[float, float]
    attacked: tuple[float, float]
    first: float
    ratio: Estimate
    failed: int
    cpu: float
    memory: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scenario:
    """door, path: what the victim reads. burst: seconds until the attacker has used up its burst.

    purge: removes what the attack has left, before each phase alone.
    """

    attack: Attack
    door: Endpoint
    path: str = _INTAKE_READ
    burst: float = 0.0
    purge: Callable[[], None] = lambda: None


def measure_flood(
    hub: KopuroHub,
    *,
    seconds: float,
    rounds: int,
    tell: Callable[[str], None],
    processor: int | None = None,
    only: Sequence[str] = (),
) -> Mapping[str, Flooded]:
    """Measure a started hub with shipped limits, of which the sender of the sample story is the attacker.

    seconds: of each phase. processor: that of the attacks alone, see `reserved_processor`. only: parts of the
    names of the attacks to measure; all by default.
    """
    told = story(hub.custody_key(), dt.datetime.now(dt.UTC))
    found: dict[str, Flooded] = {}
    with _scenarios(hub, told) as scenarios:
        for name, scenario in scenarios.items():
            if not only or any(part in name for part in only):
                found[name] = _measure(hub, scenario(), told.acceptors[0], seconds, rounds, processor)
                tell(", ".join(table_of({name: found[name]})[1][0]))
    return found


def table_of(found: Mapping[str, Flooded]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of the attacks."""
    head = [
        "attack",
        "alone",
        "attacked",
        "p99 to alone (95 %)",
        "p99 at first",
        "CPU",
        "failed",
        "intake MiB",
    ]
    return head, [
        [
            name,
            f"{one.alone[0]:.1f} / {one.alone[1]:.1f}",
            f"{one.attacked[0]:.1f} / {one.attacked[1]:.1f}",
            f"{one.ratio.value:.2f} ({one.ratio.lowest:.2f} to {one.ratio.highest:.2f})",
            "" if isnan(one.first) else f"{one.first:.1f}",
            f"{one.cpu:.2f}",
            str(one.failed),
            f"{one.memory:.0f}",
        ]
        for name, one in found.items()
    ]


@contextmanager
def _scenarios(hub: KopuroHub, told: SampleReferral) -> Iterator[Mapping[str, Callable[[], _Scenario]]]:
    """Each scenario is made when it begins, since a token ends before all of them do."""
    intake, delivery = hub.doors().intake, hub.doors().delivery

    def token() -> str:
        return hub.token(told.sender)

    def head() -> bytes:
        return f"POST /v1/referrals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n".encode()

    def requests(method: str, path: str, clients: int, body: bytes = b"", bearer: str = "") -> Requests:
        return Requests(
            door=intake, token=bearer or token(), method=method, path=path, clients=clients, body=body
        )

    with receiving() as (port, _):
        yield {
            "none": lambda: _Scenario(attack=Drips(door=intake, start=b"", clients=0), door=intake),
            "64 clients that read": lambda: _Scenario(
                attack=requests("GET", _INTAKE_READ, 64), door=intake, burst=15
            ),
            "64 clients with an invalid token": lambda: _Scenario(
                attack=requests("GET", _INTAKE_READ, 64, bearer="x" * 200), door=intake, burst=5
            ),
            "8 clients with a nested line of 8 MiB": lambda: _Scenario(
                attack=requests("POST", "/v1/referrals:batch", 8, _NESTED), door=intake
            ),
            "300 slow heads": lambda: _Scenario(
                attack=Drips(door=intake, start=head() + b"X: ", clients=300), door=intake
            ),
            "300 bodies of a byte a second": lambda: _Scenario(
                attack=Drips(door=intake, start=head() + b"Content-Length: 60000\r\n\r\n", clients=300),
                door=intake,
            ),
            "5,500 idle connections": lambda: _Scenario(
                attack=Drips(door=intake, start=b"", clients=5_500), door=intake, burst=10
            ),
            "64 tests of a webhook that stalls": lambda: _Scenario(
                attack=Requests(
                    door=delivery,
                    token=token(),
                    method="POST",
                    path=f"/v1/webhooks/{_webhook(delivery, token(), port)}/test",
                    clients=64,
                ),
                door=delivery,
                path=_DELIVERY_READ,
            ),
            # These leave work behind for routing, which answers the reads.
            "64 clients that submit": lambda: _Scenario(
                attack=requests("POST", "/v1/referrals", 64, told.body), door=intake, burst=15
            ),
            "8 clients with batches of 1,000 lines": lambda: _Scenario(
                attack=requests("POST", "/v1/referrals:batch", 8, b"\n".join([told.body] * 1000)),
                door=intake,
                burst=15,
            ),
            "a queue of submissions over AMQP that is always full": lambda: _Scenario(
                attack=Messages(
                    amqp_uri=connected(hub.hub, told.sender),
                    organization=told.sender,
                    body=orjson.dumps({"submit": "referral", **orjson.loads(told.body)}),
                ),
                door=intake,
                burst=20,
                purge=lambda: _purge(hub, submissions_of(told.sender)),
            ),
        }


def _measure(
    hub: KopuroHub, scenario: _Scenario, victim: str, seconds: float, rounds: int, processor: int | None
) -> Flooded:
    token = hub.token(victim)

    def read(duration: float) -> tuple[list[float], int]:
        return asyncio.run(_read(scenario.door, scenario.path, token, duration))

    def used(duration: float) -> tuple[tuple[list[float], int], float]:
        before = sum(map(cpu_seconds, hub.pids().values()))
        found = read(duration)
        return found, (sum(map(cpu_seconds, hub.pids().values())) - before) / duration

    read(2)  # connections, caches
    compared: list[tuple[list[float], list[float]]] = []
    cpu, failed, first = [], 0, float("nan")
    with running(scenario.attack, processor) as attacker:
        time.sleep(2)  # until it has started
        if scenario.burst:
            first = 1000 * percentile(read(min(scenario.burst, 5))[0], 0.99)
            time.sleep(scenario.burst)
        for _ in range(rounds):
            attacker.stop()
            scenario.purge()
            _await_quiet(hub)
            (alone, failed_alone), idle = used(seconds)
            attacker.go_on()
            time.sleep(_RESUME_SECONDS)
            (attacked, failed_attacked), busy = used(seconds)
            compared.append((attacked, alone))
            failed += failed_alone + failed_attacked
            cpu.append(busy - idle)
    scenario.purge()
    _await_quiet(hub)
    return Flooded(
        alone=_middle_and_p99(reads for _, reads in compared),
        attacked=_middle_and_p99(reads for reads, _ in compared),
        first=first,
        ratio=percentiles_ratio(compared, 0.99),
        failed=failed,
        cpu=median(cpu),
        memory=resident_mebibytes(hub.pids()["intake"]),
    )


def _middle_and_p99(rounds: Iterable[list[float]]) -> tuple[float, float]:
    """Return both of all reads of the rounds, in milliseconds."""
    reads = [latency for one in rounds for latency in one]
    return 1000 * percentile(reads, 0.5), 1000 * percentile(reads, 0.99)


def _await_quiet(hub: KopuroHub) -> None:
    """Wait until the services have published what they have to, twice in a row."""
    deadline = time.monotonic() + _QUIET_SECONDS
    before = -1
    while time.monotonic() < deadline:
        time.sleep(1.2)  # the figures are a second old
        published = hub.published()
        if hub.waiting() == 0 and published == before:
            return
        before = published
    raise TimeoutError("the hub does not become quiet")


def _purge(hub: KopuroHub, queue: str) -> None:
    """Remove all messages of a queue of the partners' virtual host."""
    assert hub.hub.broker is not None
    connection = ConnectionFactory(
        uri=hub.hub.broker.identity.partners_uri(HUB), connect_timeout=10, heartbeat=30
    ).connect()
    try:
        connection.channel().queue_purge(queue)
    finally:
        close(connection)


def _webhook(delivery: Endpoint, token: str, port: str) -> str:
    """Register an endpoint that answers its challenge and stalls afterwards; return its id."""

    async def register() -> bytes:
        links = Links(delivery, token, 1)
        try:
            body = json.dumps({"url": f"http://127.0.0.1:{port}/slow"}).encode()
            return await links.done("POST", "/v1/webhooks", body)
        finally:
            links.close()

    return str(json.loads(asyncio.run(register()))["endpoint"]["id"])


async def _read(door: Endpoint, path: str, token: str, seconds: float) -> tuple[list[float], int]:
    links = Links(door, token, 16, _VICTIM)
    failed = 0

    async def one(due: float) -> float:
        nonlocal failed
        try:
            await links.done("GET", path)
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
