"""Benchmark of `decide()` over directories of generated services, beside the same question in SQL."""

from __future__ import annotations

import datetime as dt
import gc
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import matching_databases
from benchmarks.figures import percentile
from benchmarks.matching_answers import compare_decided, compare_eligible, compare_elsewhere
from benchmarks.matching_databases import Answer, Database
from benchmarks.matching_layouts import LAYOUTS
from benchmarks.matching_network import POLICY, AskedReferral, GeneratedNetwork, generated_network, referrals
from benchmarks.matching_parameters import arguments
from benchmarks.stopwatch import Stopwatch
from contracts.records import dump
from runtime.garbage_collection import freeze_gc
from sandbox.temporary_directory import temporary_directory
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from tests.servers import PostgresServer

# The sizes of the directories, in services.
SIZES = (1_000, 10_000, 50_000)
DECIDE = "decide()"
# The decision, and the failed rules of its excluded candidates, which it leaves until they are read. This is
# what the whole question in SQL answers.
ANSWERED = "decide() and all failed rules"
# The decision, and its record as JSON, which holds the evidence of every candidate.
RECORDED = "decide() and its record"
# How many referrals each side answers in a row. Routing decides those that arrive together in a row, too.
IN_A_ROW = 25
# PostgreSQL keeps all tables in its memory, as the directory is, and plans each statement once.
_SETTINGS = {
    "jit": "off",
    "shared_buffers": "1GB",
    "work_mem": "64MB",
    "random_page_cost": "1.0",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """services: in the directory; candidates: considered per decision (p50, p99). Times in milliseconds.

    p50, p99: of `decide()`. recorded: the same with the decision's record. explained: (p50, p99) by database
    of the same question in SQL. eligible: of the smaller question for the eligible services only. cpu: (p50,
    p99) of CPU time, for `decide()`, for it with all failed rules, for it with the record, and for the whole
    question by database; other load on the machine affects it least. each: (p50, p99) of the CPU microseconds
    of `decide()` for a candidate, over decisions with at least ten.

    In all of these the sides take turns at every referral. Each finds the processor's caches filled by the
    others, which costs the fastest side most. in_a_row: the same as cpu, but each side answers IN_A_ROW
    referrals before the next side does.
    """

    services: int
    decisions: int
    candidates: tuple[float, float]
    p50: float
    p99: float
    recorded: tuple[float, float] = (0.0, 0.0)
    explained: dict[str, tuple[float, float]] = field(default_factory=dict)
    eligible: dict[str, tuple[float, float]] = field(default_factory=dict)
    cpu: dict[str, tuple[float, float]] = field(default_factory=dict)
    each: tuple[float, float] = (0.0, 0.0)
    in_a_row: dict[str, tuple[float, float]] = field(default_factory=dict)


def measure_matching(
    services: int = 50_000, decisions: int = 500, seed: int = 7, *, postgresql: str | None = None
) -> Matching:
    """Generate a network, decide its referrals, and ask about each on SQLite and PostgreSQL, given its URL.

    Other referrals, half as many, come first and are not measured: a service has decided before, and a
    database has answered. Raises OtherAnswer unless services, order, scores, turns and failed rules with
    their evidence are equal for each referral.
    """
    drawn = random.Random(seed)  # noqa: S311 - reproducible benchmark data
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    network = generated_network(services, drawn, now)
    directory = network.directory()
    asked = list(referrals(2 * decisions + decisions // 2, directory, drawn, now))
    in_turns, first, others = asked[:decisions], asked[decisions:-decisions], asked[-decisions:]
    # Both layouts number the organisations in the order of the answer.
    keys = {name: key for key, name in enumerate(sorted(one.id for one in network.organizations), 1)}
    run = _Run(network, directory, keys)
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_directory("matching"))
        for layout in LAYOUTS:
            rows = layout.rows_of(network)
            run.databases.append(stack.enter_context(matching_databases.sqlite(folder, layout, rows)))
            if postgresql is not None:
                opened = matching_databases.postgresql(postgresql, layout, rows)
                run.databases.append(stack.enter_context(opened))
            del rows
        stack.enter_context(_collector_of_services())
        for referral in first:
            run.ask(referral)
        run.forget()
        for referral in in_turns:
            run.ask(referral)
        in_a_row = _Run(network, directory, keys)
        in_a_row.databases = run.databases
        for start in range(0, decisions, IN_A_ROW):
            in_a_row.ask_each(others[start : start + IN_A_ROW])
    decided = _percentiles(run.decided.elapsed)
    p50, p99 = decided[DECIDE]
    each = [
        1000 * cpu / count
        for cpu, count in zip(run.decided.cpu[DECIDE], run.considered, strict=True)
        if count >= 10
    ]
    return Matching(
        services=network.services,
        decisions=decisions,
        candidates=(percentile(run.considered, 0.5), percentile(run.considered, 0.99)),
        p50=p50,
        p99=p99,
        recorded=decided[RECORDED],
        explained=_percentiles(run.explained.elapsed),
        eligible=_percentiles(run.eligible.elapsed),
        cpu=_percentiles({**run.decided.cpu, **run.explained.cpu}),
        in_a_row=_percentiles({**in_a_row.decided.cpu, **in_a_row.explained.cpu}),
        each=(percentile(each, 0.5), percentile(each, 0.99)),
    )


def measure_sizes(sizes: Sequence[int], decisions: int = 500) -> list[Matching]:
    """Measure each size, with a PostgreSQL server for all of them."""
    with PostgresServer(settings=_SETTINGS) as server:
        found = []
        for size in sizes:
            with server.lent_database() as url:
                found.append(measure_matching(size, decisions, postgresql=url))
        return found


class _Run:
    """The questions about each referral, one after the other, and their times."""

    def __init__(self, network: GeneratedNetwork, directory: Directory, keys: Mapping[str, int]) -> None:
        """keys: of the organisations in the databases."""
        self.databases: list[Database] = []
        self._network = network
        self._directory = directory
        self._keys = keys
        self.forget()

    def forget(self) -> None:
        """Start again with no times."""
        self.considered: list[float] = []
        self.decided, self.explained, self.eligible = _Times(), _Times(), _Times()

    def ask(self, referral: AskedReferral) -> None:
        """Decide the referral, and ask each database about it."""
        self.ask_each([referral])

    def ask_each(self, referrals: Sequence[AskedReferral]) -> None:
        """Decide the referrals in a row, and ask each database about them in a row."""
        decided = [self._decide(referral) for referral in referrals]
        questions = [
            arguments(given, referral, self._keys[referral.sender])
            for referral, (given, _) in zip(referrals, decided, strict=True)
        ]
        for database in self.databases:
            explained = [self._explain(database, asked) for asked in questions]
            for (given, decision), (rows, elsewhere) in zip(decided, explained, strict=True):
                compare_decided(database.name, decision, given, database.named("decided", rows))
                compare_elsewhere(database.name, decision, elsewhere)
            for asked, (_, decision) in zip(questions, decided, strict=True):
                with self.eligible.of(database.name, database):
                    rows = database.ask("eligible", asked)
                compare_eligible(database.name, decision, database.named("eligible", rows))

    def _decide(self, referral: AskedReferral) -> tuple[Circumstances, Decision]:
        with self.decided.of(RECORDED):
            with self.decided.of(ANSWERED):
                with self.decided.of(DECIDE):
                    given = self._network.circumstances(referral, self._directory)
                    decision = decide(referral.id, given, POLICY, Trigger.submitted)
                _ = decision.candidates.excluded
            dump(decision)
        self.considered.append(float(len(decision.candidates)))
        return given, decision

    def _explain(self, database: Database, asked: Mapping[str, Any]) -> tuple[Answer, int]:
        """Return the rows of the whole question, and how many organisations meet the need elsewhere."""
        with self.explained.of(database.name, database):
            rows = database.ask("decided", asked)
            elsewhere = 0 if rows else database.ask("elsewhere", asked)[0][0]
        return rows, elsewhere


class _Times:
    """Milliseconds of each `with` block by name: by the clock, and of CPU, a database server's included."""

    def __init__(self) -> None:
        self.elapsed: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str, database: Database | None = None) -> Iterator[None]:
        watch = Stopwatch()
        before = database.server_cpu() if database is not None else 0.0
        with watch:
            yield
        if database is not None:
            watch.cpu += database.server_cpu() - before
        self.elapsed.setdefault(name, []).append(1000 * watch.seconds)
        self.cpu.setdefault(name, []).append(1000 * watch.cpu)


def _percentiles(asked: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {name: (percentile(times, 0.5), percentile(times, 0.99)) for name, times in asked.items()}


@contextmanager
def _collector_of_services() -> Iterator[None]:
    """Tune the garbage collector as every service does after its start, and undo it at the end."""
    thresholds = gc.get_threshold()
    freeze_gc()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
