"""`python -m benchmarks [all|journey|fsyncs|submit|ceiling|peers|matching|audit|growth|soak] [--json FILE]`.

`all` is everything but growth and soak, which take an hour and twenty minutes. Every timed comparison is of
one run, in rounds of alternating order. Figures are never asserted anywhere.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from benchmarks import report
from benchmarks.charts import Bar, bars
from benchmarks.comparison import CEILING, FASTSTREAM, NAMEKO, OURS, Bench, Effort
from benchmarks.figures import Spread, ratios, spread
from benchmarks.journey import Measured, Plan, count_fsyncs
from benchmarks.ours import OurHub
from benchmarks.systems import System
from sandbox.broker import PrivateBroker
from sandbox.supervisor import sigterm_raises

_STEPS = ("submit_to_offer", "accept_to_confirmation", "progress_to_confirmation", "complete_to_confirmation")

FULL = Effort(plan=Plan(seconds=15, loads=(50, 100, 200)))
QUICK = Effort(
    plan=Plan(seconds=4, warm_up=2, in_flight=300, loads=(100,), load_seconds=3),
    peers_warm_up=3,
    ceiling_repeat=20,
)


@dataclass(slots=True)
class Run:
    """One invocation."""

    quick: bool
    rounds: int
    bench: Bench
    charts: Path | None
    # Of growth: how many, over how many days, on which databases. Of soak: how long, how many a second.
    referrals: int | None = None
    days: int | None = None
    databases: Sequence[str] = ("sqlite", "postgresql")
    minutes: float = 20.0
    rate: float = 50.0
    document: dict[str, Any] = field(default_factory=dict)

    def journey(self) -> None:
        """Our own closed loops: throughput, latencies, what each process used."""
        measured = self.bench.rounds([OURS], self.rounds)
        self.document["journey"] = measured
        _print_journey(measured)

    def peers(self) -> None:
        """Ours beside the peers and the bare broker."""
        measured = self.bench.rounds([OURS, NAMEKO, FASTSTREAM, CEILING], self.rounds)
        self.document["peers"] = measured
        _print_journey(measured)
        _print_ratios(measured)
        self._draw(measured)

    def fsyncs(self) -> None:
        """How often each process waits for the disk, at 50 loops a second."""
        found: dict[str, float] = {}

        def count(system: System, pid: int) -> Mapping[str, Measured]:
            found.update(
                count_fsyncs(system, pid, self.bench.directory, load=50, seconds=2 if self.quick else 8)
            )
            return {}

        self.bench.with_system(OURS, count)
        self.document["fsyncs_a_loop"] = found
        if not found:
            _say("fsyncs: not counted, strace is not installed")
            return
        _say("\nfsyncs a closed loop at 50/s, traced: " + report.listed(found))

    def ceiling(self) -> None:
        """The bare broker alone."""
        measured = self.bench.rounds([CEILING], self.rounds)
        self.document["ceiling"] = measured
        rate = _over(measured, CEILING, "saturation", "rate")
        _say(f"bare broker: {report.written(rate)} loops/s worth of deliveries")

    def submit(self) -> None:
        """`POST /v1/referrals`, one at a time."""
        from benchmarks.submit import Submitting, measure_submit

        seconds = 2.0 if self.quick else 6.0
        found: dict[str, list[Submitting]] = {"alone": [], "whole hub": []}
        for _ in range(self.rounds):
            for kind, results in found.items():
                alone = kind == "alone"

                def work(
                    system: System, pid: int, alone: bool = alone, into: list[Submitting] = results
                ) -> Mapping[str, Measured]:
                    into.append(measure_submit(system, alone=alone, seconds=seconds))
                    return {}

                self.bench.with_system(OURS, work)
        self.document["submit"] = found
        rows = [
            [
                kind,
                *(
                    report.written(spread([getattr(r, name) for r in results]))
                    for name in ("rate", "p50", "p99")
                ),
            ]
            for kind, results in found.items()
        ]
        _say(report.table(["POST /v1/referrals", "requests/s", "p50 ms at half", "p99 ms at half"], rows))

    def matching(self) -> None:
        """`decide()` over 50,000 services."""
        from benchmarks.matching import measure_matching

        found = measure_matching(5_000 if self.quick else 50_000)
        self.document["matching"] = found
        _say(
            f"matching over {found.services:,} services, {found.candidates:.0f} candidates a decision:"
            f" p50 {found.p50:.2f} ms, p99 {found.p99:.2f} ms"
        )

    def audit(self) -> None:
        """The log by itself: appends, proofs, verification, restart."""
        from benchmarks import audit_log

        effort = audit_log.QUICK if self.quick else audit_log.FULL
        vhost = "audit-log"
        uri = self.bench.broker.add_vhost(vhost)
        measured = audit_log.measure_log(
            self.bench.directory / "log", uri, effort, self.rounds, self.bench.tell
        )
        self.bench.broker.remove_vhost(vhost)
        self.document["audit"] = {"effort": effort, "rounds": measured}
        _say(audit_log.table(measured, effort))

    def growth(self) -> None:
        """A hub with a history beside an empty one."""
        from benchmarks import growth

        effort = growth.QUICK if self.quick else growth.Effort()
        if self.referrals is not None:
            effort = replace(effort, referrals=self.referrals)
        if self.days is not None:
            effort = replace(effort, days=self.days)
        bench = growth.GrowthBench(self.bench.broker, self.bench.directory, effort, self.bench.tell)
        found = self.document["growth"] = {}
        for database in self.databases:
            found[database] = bench.measure(database, self.rounds)
            _say(f"\n{database}")
            _say(report.table(*growth.table_of(found[database])))

    def soak(self) -> None:
        """One hub under a constant load for a long time."""
        from benchmarks import soak

        def work(system: System, pid: int) -> Mapping[str, Measured]:
            assert isinstance(system, OurHub)
            found = soak.measure_soak(
                system, self.bench.broker, minutes=self.minutes, rate=self.rate, tell=self.bench.tell
            )
            self.document["soak"] = found
            for head, rows in soak.tables_of(found):
                _say("\n" + report.table(head, rows))
            if self.charts is not None:
                (self.charts / "performance-soak.svg").write_text(soak.chart_of(found), encoding="utf-8")
            return {}

        self.bench.with_system(OURS, work)

    def _draw(self, measured: Sequence[Mapping[str, Any]]) -> None:
        if self.charts is None:
            return
        names = {OURS: "Kopuro", NAMEKO: "stock nameko", FASTSTREAM: "FastStream", CEILING: "bare broker"}
        for file, title, unit, figure in (
            (
                "performance-loops.svg",
                "Closed loops a second",
                "median of the rounds; more is better",
                "rate",
            ),
            (
                "performance-cpu.svg",
                "CPU a closed loop",
                "milliseconds, all processes; less is better",
                "cpu_ms_a_loop",
            ),
        ):
            shown = [
                Bar(
                    name=names[name], figure=_over(measured, name, "saturation", figure), is_ours=name == OURS
                )
                for name in names
                if figure in measured[0][name]["saturation"]
            ]
            (self.charts / file).write_text(bars(title, unit, shown), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's exit code."""
    single = ("journey", "fsyncs", "submit", "ceiling", "peers", "matching", "audit", "growth", "soak")
    commands: dict[str, tuple[str, ...]] = {
        "all": ("peers", "fsyncs", "submit", "matching", "audit"),
        **{name: (name,) for name in single},
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=commands, default="all")
    parser.add_argument("--rounds", type=int, help="5; with --quick 1")
    parser.add_argument("--quick", action="store_true", help="a smoke test: shorter, fewer, of no meaning")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--charts", type=Path, help="draw the charts into this folder")
    parser.add_argument("--directory", type=Path, help="where databases and broker lie; else a temporary one")
    parser.add_argument("--referrals", type=int, help="growth: of history, 1,000,000; with --quick 500")
    parser.add_argument("--days", type=int, help="growth: over which the history is spread, 365")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), help="growth: both")
    parser.add_argument("--minutes", type=float, help="soak: 20; with --quick 0.5")
    parser.add_argument("--rate", type=float, default=50.0, help="soak: referrals a second, 50")
    given = parser.parse_args(arguments)
    database = given.database or ("sqlite" if given.quick else "both")
    with sigterm_raises(), _place(given.directory) as (directory, broker):
        run = Run(
            quick=given.quick,
            rounds=given.rounds or (1 if given.quick else 5),
            bench=Bench(
                broker=broker,
                directory=directory,
                effort=QUICK if given.quick else FULL,
                tell=lambda text: _say(text, sys.stderr),
            ),
            charts=given.charts,
            referrals=given.referrals,
            days=given.days,
            databases=("sqlite", "postgresql") if database == "both" else (database,),
            minutes=given.minutes or (0.5 if given.quick else 20.0),
            rate=given.rate,
            document={"machine": report.machine(directory), "quick": given.quick},
        )
        for name in commands[given.what]:
            step: Callable[[], None] = getattr(run, name)
            step()
            if given.json is not None:
                given.json.write_text(report.to_json(run.document), encoding="utf-8")
    return 0


@contextmanager
def _place(parent: Path | None) -> Iterator[tuple[Path, PrivateBroker]]:
    """A directory and a broker that are gone afterwards, however it ends."""
    directory = Path(tempfile.mkdtemp(prefix="kopuro-bench-", dir=parent))
    try:
        with PrivateBroker(directory / "broker") as broker:
            yield directory, broker
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _say(text: str, stream: TextIO = sys.stdout) -> None:
    stream.write(text + "\n")
    stream.flush()


def _over(measured: Sequence[Mapping[str, Any]], name: str, phase: str, figure: str) -> Spread:
    return spread([one[name][phase][figure] for one in measured])


def _print_journey(measured: Sequence[Mapping[str, Any]]) -> None:
    phases = list(measured[0][OURS])
    rows = []
    for phase in phases:
        steps = [
            " / ".join(
                f"{median(one[OURS][phase]['latency_ms'][step][p] for one in measured):.0f}"
                for p in ("p50", "p99")
            )
            for step in _STEPS
        ]
        rows.append([phase, report.written(_over(measured, OURS, phase, "rate")), *steps])
    head = ["load", "closed loops/s", "submit to offer", "accept", "progress", "complete"]
    _say("\nKopuro: p50 / p99 in ms, from what was said to what is in a mailbox")
    _say(report.table(head, rows))
    for name in (name for name in measured[0] if name != CEILING):
        usages = [one[name]["saturation"]["usage"] for one in measured]
        processes = list(usages[0]["cpu_ms_a_loop"])
        rows = [
            [
                process,
                *(
                    f"{median(usage[kind][process] for usage in usages):.2f}"
                    if process in usages[0][kind]
                    else ""
                    for kind in ("cpu_ms_a_loop", "commits_a_loop", "resident_mib")
                ),
            ]
            for process in processes
        ]
        _say(f"\n{name} at saturation, a closed loop")
        _say(report.table(["process", "CPU ms", "commits", "MiB"], rows))


def _print_ratios(measured: Sequence[Mapping[str, Any]]) -> None:
    rates = [{name: one[name]["saturation"]["rate"] for name in one} for one in measured]
    cpu = [
        {name: 1000 / one[name]["saturation"]["cpu_ms_a_loop"] for name in one if name != CEILING}
        for one in measured
    ]
    faster, cheaper = ratios(rates, of=OURS), ratios(cpu, of=OURS)
    rows = []
    for name in (OURS, NAMEKO, FASTSTREAM, CEILING):
        phase = measured[0][name]["saturation"]
        rows.append(
            [
                name,
                report.written(_over(measured, name, "saturation", "rate")),
                report.written(faster[name], 2) if name in faster else "1",
                ""
                if name == CEILING
                else report.written(_over(measured, name, "saturation", "cpu_ms_a_loop")),
                report.written(cheaper[name], 2) if name in cheaper else ("" if name == CEILING else "1"),
                f"{phase['messages_a_loop']:.1f}",
                f"{phase['commits_a_loop']:.2f}" if "commits_a_loop" in phase else "",
            ]
        )
    head = [
        "at saturation",
        "closed loops/s",
        "kopuro is so many times as fast",
        "CPU ms a loop",
        "and so many times as cheap",
        "messages",
        "commits",
    ]
    _say("")
    _say(report.table(head, rows))


if __name__ == "__main__":
    sys.exit(main())
