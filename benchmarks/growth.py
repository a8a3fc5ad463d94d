"""Growth benchmark: an empty hub and one with a long history, measured in alternation.

Both hubs run all the time on one broker, each with its own databases; only one works at a time. A round
measures one after the other, and the next round reverses the order.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, make_url, text

from benchmarks.figures import Spread, alternated, spread
from benchmarks.history import Place, SyntheticHistory, write_history
from benchmarks.journey import Plan, close_loops, play
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.quiescence import wait_until_quiescent
from benchmarks.reads import measure_reads
from benchmarks.recording import Recording, record_loops
from benchmarks.report import written
from sandbox.broker import PrivateBroker
from sandbox.hub_files import HUB, SERVICES
from tests.servers import PostgresServer

EMPTY: Final = "empty"
GROWN: Final = "grown"
SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

# Enough time to read the whole log, should it be necessary: see `services.audit.log.handlers.self_check`.
_READY_WITHIN: Final = 3_600.0
_IDS: Final = 500
_PLAN: Final = Plan(seconds=15, loads=(20,), load_seconds=15)
# Typical settings of a server for this load. Every commit waits for the disk, as on SQLite.
_SERVER: Final = {"fsync": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"}


@dataclass(frozen=True, kw_only=True, slots=True)
class GrowthPlan:
    """The effort of a run. referrals: of history; loops: recorded loops that serve as templates."""

    referrals: int = 1_000_000
    days: int = 365
    loops: int = 6
    plan: Plan = _PLAN
    reads: int = 300


QUICK: Final = GrowthPlan(
    referrals=500,
    loops=2,
    plan=Plan(seconds=3, warm_up=1, in_flight=200, loads=(20,), load_seconds=3),
    reads=40,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grown:
    """Results on one kind of database. seconds: time to fill it; bytes_a_referral: on disk, by service.

    start_seconds: until every service was ready, by side. rounds: the figures of each side, by round.
    slower: the factor by which the grown hub's costs are higher or its rates lower, by figure.
    """

    referrals: int
    seconds: float
    bytes_a_referral: Mapping[str, float]
    start_seconds: Mapping[str, float]
    rounds: Sequence[Mapping[str, Mapping[str, float]]]
    slower: Mapping[str, Spread]


@dataclass(slots=True)
class GrowthBench:
    """Runs the benchmark. tell: receives progress messages."""

    broker: PrivateBroker
    directory: Path
    effort: GrowthPlan
    tell: Callable[[str], None]
    _recording: Recording = field(default=(), init=False)

    def measure(self, database: str, rounds: int) -> Grown:
        """Measure on one kind of database. Raises the errors of a loop, HubError, OSError."""
        recording = self._recorded()
        with ExitStack() as stack:
            sides = {side: stack.enter_context(self._side(database, side)) for side in (EMPTY, GROWN)}
            starts = {side: _seconds(hub.start) for side, hub in sides.items()}
            grown = sides[GROWN]
            grown.stop()
            before = sizes(grown)
            effort = self.effort
            history = SyntheticHistory(
                referrals=effort.referrals, days=effort.days, now=time.time_ns() // 1000
            )
            filling = _seconds(lambda: write_history(history, recording, places(grown), self.tell))
            after = sizes(grown)
            starts[GROWN] = _seconds(grown.start)
            self.tell(f"{database}: filled in {filling:.0f} s, ready after {starts[GROWN]:.0f} s")
            for hub in sides.values():
                close_loops(hub, 50)
            known = {EMPTY: _some_ids(sides[EMPTY]), GROWN: history.referral_ids(recording, _IDS)}
            measured = [
                {side: self._one(sides[side], known[side]) for side in order}
                for order in self._announced(alternated([EMPTY, GROWN], rounds), database)
            ]
            return Grown(
                referrals=effort.referrals,
                seconds=filling,
                bytes_a_referral={
                    name: (after[name] - before.get(name, 0)) / effort.referrals for name in after
                },
                start_seconds=starts,
                rounds=measured,
                slower=slower(measured),
            )

    def _recorded(self) -> Recording:
        if not self._recording:
            with self._side(SQLITE, "recorded") as hub:
                hub.start()
                self._recording = record_loops(hub, self.effort.loops)
        return self._recording

    def _announced(self, orders: list[list[str]], database: str) -> Iterator[list[str]]:
        for number, order in enumerate(orders, start=1):
            self.tell(f"{database}: round {number} of {len(orders)}")
            yield order

    @contextmanager
    def _side(self, database: str, side: str) -> Iterator[KopuroHub]:
        """Provide a hub with its own virtual host and databases, not started; remove all of it at the end."""
        name = f"{side}-{database}"
        directory = self.directory / name
        with ExitStack() as stack:
            template, server = None, None
            if database == POSTGRESQL:
                # Not inside the private directory: if root runs this, the server runs as another user.
                server = PostgresServer(settings=_SERVER, parent=self.directory.parent)
                stack.enter_context(server)
                template = _databases(server)
            hub = KopuroHub(
                directory,
                self.broker.add_vhost(name),
                database_template=template,
                server_pid=server.pid if server else None,
                ready_within=_READY_WITHIN,
            )
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            stack.callback(self.broker.remove_vhost, name)
            stack.callback(hub.stop)
            yield hub

    def _one(self, hub: KopuroHub, known: Sequence[str]) -> dict[str, float]:
        """Return every figure of one side in one round. Higher is worse, except for rates (`/s`)."""
        assert self.broker.pid is not None
        phases = play(hub, self.broker.pid, self.effort.plan)
        wait_until_quiescent(hub.published)
        full, low = phases["saturation"], phases[f"{self.effort.plan.loads[0]:g}/s"]
        figures = {"closed loops/s": full.rate, "CPU ms a loop, all": full.cpu_ms_a_loop}
        figures |= {f"CPU ms a loop, {name}": value for name, value in full.usage["cpu_ms_a_loop"].items()}
        for step, name in (("submit_to_admission", "POST referral"), ("submit_to_offer", "submit to offer")):
            figures |= {f"{name} {p} ms": low.latency_ms[step][p] for p in ("p50", "p99")}
        figures |= measure_reads(hub, known, self.effort.reads)
        usage = full.usage["resident_mib"]
        return figures | {f"MiB, {name}": value for name, value in usage.items() if name != "driver"}


def places(hub: KopuroHub) -> dict[str, Place]:
    """Return the databases and files of a hub that a history fills, by service."""
    files = hub.files
    return {
        service: Place(
            url=hub.database_url(service),
            published=files.published_log if service == "audit" else None,
            key=files.key("log") if service == "audit" else None,
            hub=HUB,
            directory=hub.database_url("directory") if service == "audit" else "",
        )
        for service in SERVICES
        if service != "directory"
    }


def sizes(hub: KopuroHub) -> dict[str, int]:
    """Return the bytes on disk of each service's database and of the published log."""
    found = {}
    for service in SERVICES:
        url = make_url(hub.database_url(service))
        if url.get_backend_name() == "sqlite":
            files = (Path(f"{url.database}{suffix}") for suffix in ("", "-wal"))
            found[service] = sum(file.stat().st_size for file in files if file.exists())
        else:
            engine = create_engine(url)
            with engine.connect() as connection:
                found[service] = connection.execute(
                    text("SELECT pg_database_size(current_database())")
                ).scalar_one()
            engine.dispose()
    # Counted in blocks: a tile occupies whole blocks.
    log = hub.files.published_log.rglob("*")
    return {**found, "published log": sum(file.stat().st_blocks * 512 for file in log)}


def slower(rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Spread]:
    """Return the factor by which the grown hub was worse, by figure; figures with a zero are omitted."""
    found = {}
    for name in rounds[0][EMPTY]:
        pairs = [(one[EMPTY][name], one[GROWN][name]) for one in rounds]
        if all(empty > 0 and grown > 0 for empty, grown in pairs):
            is_rate = name.endswith("/s")
            found[name] = spread([empty / grown if is_rate else grown / empty for empty, grown in pairs])
    return found


def table_of(grown: Grown) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: each figure of both sides, and the factor between them."""
    rows = [
        [
            name,
            *(written(spread([one[side][name] for one in grown.rounds]), 2) for side in (EMPTY, GROWN)),
            written(worse, 2),
        ]
        for name, worse in grown.slower.items()
    ]
    return ["", EMPTY, f"{grown.referrals:,} referrals", "times worse"], rows


def _databases(server: PostgresServer) -> str:
    for service in SERVICES:
        url = server.create_database(service)
    return f"{url.rpartition('/')[0]}/{{service}}"


def _some_ids(hub: KopuroHub) -> list[str]:
    engine = create_engine(hub.database_url("intake"))
    with engine.connect() as connection:
        ids = list(connection.execute(text("SELECT referral_id FROM submissions")).scalars())
    engine.dispose()
    return random.Random(1).sample(ids, min(len(ids), _IDS))  # noqa: S311 - the choice is not secret


def _seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
