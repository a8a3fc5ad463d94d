"""Benchmark of `decide()` over directories of generated services, beside the same question in SQL."""

from __future__ import annotations

import datetime as dt
import gc
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, create_engine

from benchmarks import matching_sql
from benchmarks.figures import percentile
from benchmarks.stopwatch import Stopwatch
from benchmarks.story import rank, sample_network
from contracts.codes import Vetting
from contracts.organization import Agreement, ApprovedService, Organization
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes
from runtime.garbage_collection import freeze_gc
from runtime.identifiers import new_id
from sandbox import network
from services.routing.domain.decision import Decision
from services.routing.domain.directory import Directory
from tests.servers import PostgresServer

# The sizes of the directories, in services.
SIZES = (1_000, 10_000, 50_000)
_DECIDE = "decide()"


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """services: in the directory; candidates: considered per decision (median). Times in milliseconds.

    p50, p99: of `decide()`. explained: (p50, p99) by database of the same question in SQL: every candidate
    with its failed rules. eligible: of the smaller question for the eligible services only. cpu: (p50, p99)
    of CPU time, for `decide()` and for the whole question on SQLite, which runs in this process.
    """

    services: int
    decisions: int
    candidates: float
    p50: float
    p99: float
    explained: dict[str, tuple[float, float]] = field(default_factory=dict)
    eligible: dict[str, tuple[float, float]] = field(default_factory=dict)
    cpu: dict[str, tuple[float, float]] = field(default_factory=dict)


class OtherAnswer(AssertionError):
    """SQL and `decide()` gave different answers, so that their times cannot be compared."""


def measure_matching(
    services: int = 50_000, decisions: int = 500, seed: int = 7, *, postgresql: str | None = None
) -> Matching:
    """Generate a directory: needs and regions are random, the rest is from the sample network.

    Each referral is decided, and asked on SQLite and, given its URL, on PostgreSQL, one after the other.
    Raises OtherAnswer unless the eligible services, their scores and all failed rules are equal.
    """
    drawn = random.Random(seed)  # noqa: S311 - reproducible benchmark data
    organizations, agreements = sample_network()
    organizations = [*organizations, *_organizations(services, drawn)]
    directory = Directory()
    for number, organization in enumerate(organizations, 1):
        directory.put_organization(organization, number)
    for agreement in agreements:
        directory.put_agreement(agreement)
    now = dt.datetime.now(dt.UTC)
    considered: list[float] = []
    decided, explained, eligible = _Times(), _Times(), _Times()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kopuro-matching-"))
        urls = {"SQLite": f"sqlite:///{folder}/matching.sqlite"}
        if postgresql is not None:
            urls["PostgreSQL"] = postgresql
        connections = {
            name: stack.enter_context(_filled(url, organizations, agreements)) for name, url in urls.items()
        }
        stack.enter_context(_collector_of_services())
        for facts in _referrals(decisions, drawn):
            sender, referral_id = drawn.choice(_SENDERS), new_id()
            with decided.of(_DECIDE):
                decision = rank(directory, referral_id, referral_id, sender, facts, now)
            considered.append(float(len(decision.candidates)))
            known = directory.organization(sender)
            vetted = known is not None and known.vetting is Vetting.vetted
            values = matching_sql.parameters(sender, facts, now, sender_vetted=vetted)
            for name, connection in connections.items():
                with explained.of(name):
                    rows = connection.execute(matching_sql.EXPLAINED, values).all()
                _compare_failures(name, decision, rows)
                _compare(name, decision, [row for row in rows if row[2] is not None])
                with eligible.of(name):
                    rows = connection.execute(matching_sql.ELIGIBLE, values).all()
                _compare(name, decision, rows)
    p50, p99 = _percentiles(decided.elapsed)[_DECIDE]
    return Matching(
        services=sum(len(organization.services) for organization in organizations),
        decisions=decisions,
        candidates=percentile(considered, 0.5),
        p50=p50,
        p99=p99,
        explained=_percentiles(explained.elapsed),
        eligible=_percentiles(eligible.elapsed),
        cpu=_percentiles({**decided.cpu, "SQLite": explained.cpu["SQLite"]}),
    )


def measure_sizes(sizes: Sequence[int], decisions: int = 500) -> list[Matching]:
    """Measure each size, with a PostgreSQL server for all of them."""
    # With all tables in its memory, as the directory is.
    with PostgresServer(settings={"jit": "off", "shared_buffers": "1GB"}) as server:
        found = []
        for size in sizes:
            with server.lent_database() as url:
                found.append(measure_matching(size, decisions, postgresql=url))
        return found


class _Times:
    """Milliseconds of each `with` block by name: by the clock, and of this process's CPU."""

    def __init__(self) -> None:
        self.elapsed: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        watch = Stopwatch()
        with watch:
            yield
        self.elapsed.setdefault(name, []).append(1000 * watch.seconds)
        self.cpu.setdefault(name, []).append(1000 * watch.cpu)


def _percentiles(asked: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    return {name: (percentile(times, 0.5), percentile(times, 0.99)) for name, times in asked.items()}


def _compare_failures(name: str, decision: Decision, rows: Sequence[Sequence[Any]]) -> None:
    answer = {(row[0], row[1]): matching_sql.failed_rules(row) for row in rows}
    made = {
        (c.organization, c.service): frozenset(failure.rule for failure in c.failures)
        for c in decision.candidates
    }
    for key in answer.keys() | made.keys():
        if answer.get(key) != made.get(key):
            raise OtherAnswer(f"{name} fails {key} by {answer.get(key)}, decide() by {made.get(key)}")


def _compare(name: str, decision: Decision, rows: Sequence[Sequence[Any]]) -> None:
    answer = {(row[0], row[1]): float(row[2]) for row in rows}
    eligible = {(c.organization, c.service): c.score for c in decision.candidates if c.score is not None}
    if answer.keys() != eligible.keys():
        raise OtherAnswer(f"{name} and decide() differ about {answer.keys() ^ eligible.keys()}")
    for key, score in eligible.items():
        if abs(answer[key] - score) > 1e-5:
            raise OtherAnswer(f"{name} scores {key} {answer[key]}, decide() {score}")


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


@contextmanager
def _filled(
    url: str, organizations: Sequence[Organization], agreements: Sequence[Agreement]
) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            matching_sql.fill(connection, organizations, agreements)
            connection.commit()
            matching_sql.tune(connection)
            yield connection
    finally:
        engine.dispose()


_APPROVED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_SENDERS = ("kg.osh-legal-aid", "kg.suusar-hotline", "tj.dushanbe-justice-house")


def _organizations(services: int, drawn: random.Random) -> Iterator[Organization]:
    # With sealing keys, without which nobody would be eligible.
    sample = [one for one in sample_network()[0] if one.services]
    needs, regions = sorted(codes("needs")), sorted(codes("regions"))
    left, number = services, 0
    while left > 0:
        template = drawn.choice(sample)
        count = min(left, drawn.randint(1, 5))
        offered = tuple(
            replace(
                drawn.choice(template.services),
                id=f"service-{n}",
                needs=tuple(drawn.sample(needs, drawn.randint(1, 3))),
                areas=tuple(drawn.sample(regions, drawn.randint(1, 3))),
            )
            for n in range(count)
        )
        yield replace(
            template,
            id=f"{template.country.lower()}.generated-{number}",
            parent=None,
            services=offered,
            approved_services=tuple(
                ApprovedService(service=one.id, needs=one.needs, by="benchmark", at=_APPROVED)
                for one in offered
            ),
        )
        left, number = left - count, number + 1


def _referrals(count: int, drawn: random.Random) -> Iterator[ReferralFacts]:
    sample = network.load().referrals
    needs, regions = sorted(codes("needs")), sorted(codes("regions"))
    for _ in range(count):
        template = drawn.choice(sample).facts
        yield replace(template, to=None, needs=(drawn.choice(needs),), region=drawn.choice(regions))
