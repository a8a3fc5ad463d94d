"""One run of `python -m benchmarks`: what each benchmark measures, keeps as figures and prints."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from benchmarks import journey_tables, report
from benchmarks.charts import Bar, bars
from benchmarks.comparison import CEILING, FASTSTREAM, NAMEKO, OURS, Bench
from benchmarks.figures import spread
from benchmarks.journey import Measured, count_fsyncs
from benchmarks.kopuro_hub import KopuroHub
from benchmarks.systems import System


@dataclass(slots=True)
class Run:
    """One run of the command; a method per benchmark."""

    quick: bool
    rounds: int
    bench: Bench
    charts: Path | None
    # growth: referrals of history, their days, databases. soak: minutes, referrals per second.
    referrals: int | None = None
    days: int | None = None
    databases: Sequence[str] = ("sqlite", "postgresql")
    minutes: float = 20.0
    rate: float = 50.0
    commit: str | None = None
    parts: Sequence[str] = ()
    document: dict[str, Any] = field(default_factory=dict)

    def journey(self) -> None:
        """Measure Kopuro's closed loops: throughput, latencies, resources of each process."""
        measured = self.bench.rounds([OURS], self.rounds)
        self.document["journey"] = measured
        say(journey_tables.journey(measured))

    def peers(self) -> None:
        """Compare Kopuro with the peers and the bare broker."""
        measured = self.bench.rounds([OURS, NAMEKO, FASTSTREAM, CEILING], self.rounds)
        self.document["peers"] = measured
        say(journey_tables.journey(measured))
        say("\n" + journey_tables.comparison(measured))
        self._draw(measured)

    def fsyncs(self) -> None:
        """Count the fsyncs of each process at 50 loops a second."""
        found: dict[str, float] = {}

        def count(system: System, pid: int) -> Mapping[str, Measured]:
            found.update(
                count_fsyncs(system, pid, self.bench.directory, load=50, seconds=2 if self.quick else 8)
            )
            return {}

        self.bench.with_system(OURS, count)
        self.document["fsyncs_a_loop"] = found
        if not found:
            say("fsyncs: not counted because strace is not installed or not permitted")
            return
        say("\nfsyncs a closed loop at 50/s, traced: " + report.listed(found))

    def ceiling(self) -> None:
        """Measure the bare broker."""
        measured = self.bench.rounds([CEILING], self.rounds)
        self.document["ceiling"] = measured
        rate = journey_tables.over(measured, CEILING, "saturation", "rate")
        say(f"bare broker: {report.written(rate)} loops/s worth of deliveries")

    def submit(self) -> None:
        """Measure single `POST /v1/referrals` requests."""
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
        say(report.table(["POST /v1/referrals", "requests/s", "p50 ms at half", "p99 ms at half"], rows))

    def flood(self) -> None:
        """Measure one partner's reads during the attacks of another, and 20,000 mixed requests."""
        from benchmarks.attacks import reserved_processor
        from benchmarks.flood import measure_flood, table_of
        from benchmarks.hostile import REQUESTS, Mixed, measure_mixed, tables_of

        directory = self.bench.directory / "flood"
        hub = KopuroHub(directory, None, raised_limits=False)
        try:
            with reserved_processor() as processor:
                hub.start()
                found = measure_flood(
                    hub,
                    seconds=3.0 if self.quick else 10.0,
                    rounds=1 if self.quick else self.rounds,
                    tell=self.bench.tell,
                    processor=processor,
                )
        finally:
            hub.stop()
            shutil.rmtree(directory, ignore_errors=True)
        say(report.table(*table_of(found)) + "\n")
        mixed: list[Mixed] = []

        def mix(system: System, pid: int) -> Mapping[str, Measured]:
            mixed.append(measure_mixed(system, requests=500 if self.quick else REQUESTS))
            return {}

        # A hub of its own, with raised limits: the attacks leave work behind.
        self.bench.with_system(OURS, mix)
        self.document["flood"], self.document["mixed"] = found, mixed
        for head, rows in tables_of(mixed[0]):
            say(report.table(head, rows) + "\n")

    def matching(self) -> None:
        """Measure `decide()` over up to 50,000 services, beside the same question in SQL."""
        from benchmarks.matching import ANSWERED, DECIDE, IN_A_ROW, RECORDED, SIZES, measure_sizes

        found = measure_sizes(SIZES[:1] if self.quick else SIZES, 100 if self.quick else 500)
        self.document["matching"] = found
        databases = tuple(found[0].explained)
        made = (DECIDE, ANSWERED, RECORDED)
        columns = ["services", "candidates p50 / p99", "CPU ms of", "p50 / p99", *databases]
        for order in ("cpu", "in_a_row"):
            rows = [
                [
                    f"{one.services:,}",
                    "{:.0f} / {:.0f}".format(*one.candidates),
                    name,
                    "{:.2f} / {:.2f}".format(*cpu[name]),
                    *(
                        "{:.2f} / {:.2f} ({:.1f} times)".format(*cpu[sql], cpu[sql][0] / cpu[name][0])
                        for sql in databases
                    ),
                ]
                for one in found
                for cpu in [getattr(one, order)]
                for name in made
            ]
            heading = "One referral after the other" if order == "cpu" else f"{IN_A_ROW} referrals in a row"
            say(f"{heading}\n\n{report.table(columns, rows)}\n")
        rows = [
            [
                f"{one.services:,}",
                "{:.1f} / {:.1f}".format(*one.each),
                f"{one.p50:.2f} / {one.p99:.2f}",
                *(
                    f"{p50:.2f} / {p99:.2f} ({p50 / one.p50:.1f} times)"
                    for asked in (one.explained, one.eligible)
                    for p50, p99 in asked.values()
                ),
            ]
            for one in found
        ]
        columns = ["services", "CPU µs a candidate", "decide() ms by the clock", *databases]
        say(report.table([*columns, *(f"{name}, eligible only" for name in databases)], rows))

    def webhooks(self) -> None:
        """Measure webhooks sent from a backlog, beside plain FastStream."""
        from benchmarks.webhooks import Sent, measure_webhooks

        found: list[dict[str, Sent]] = []
        for number in range(self.rounds):
            vhost = f"webhooks-{number}"
            found.append(measure_webhooks(self.bench.broker.add_vhost(vhost)))
            self.bench.broker.remove_vhost(vhost)
        self.document["webhooks"] = found
        rows = [
            [
                name,
                report.written(spread([one[name].rate for one in found])),
                report.written(spread([one[name].cpu_ms for one in found])),
                report.written(spread([one["kopuro"].rate / one[name].rate for one in found])),
            ]
            for name in found[0]
        ]
        say(report.table(["webhooks", "sent a second", "CPU ms each", "Kopuro's rate divided by it"], rows))

    def amqp(self) -> None:
        """Measure submissions over AMQP, beside plain FastStream."""
        from benchmarks.amqp_submissions import COUNT, QUICK_COUNT, measure_amqp

        found: list[dict[str, float]] = []
        for number in range(self.rounds):
            vhost = f"amqp-{number}"
            uri, directory = self.bench.broker.add_vhost(vhost), self.bench.directory / vhost
            found.append(measure_amqp(directory, uri, QUICK_COUNT if self.quick else COUNT))
            self.bench.broker.remove_vhost(vhost)
        self.document["amqp"] = found
        rows = [
            [
                name,
                report.written(spread([one[name] for one in found])),
                report.written(spread([one["kopuro"] / one[name] for one in found])),
            ]
            for name in found[0]
        ]
        say(report.table(["submissions over AMQP", "answered a second", "Kopuro's rate divided by it"], rows))

    def audit(self) -> None:
        """Measure the audit log alone: appends, proofs, verification, restart."""
        from benchmarks import audit_log

        effort = audit_log.QUICK if self.quick else audit_log.FULL
        vhost = "audit-log"
        uri = self.bench.broker.add_vhost(vhost)
        measured = audit_log.measure_log(
            self.bench.directory / "log", uri, effort, self.rounds, self.bench.tell
        )
        self.bench.broker.remove_vhost(vhost)
        self.document["audit"] = {"effort": effort, "rounds": measured}
        say(audit_log.table(measured, effort))

    def growth(self) -> None:
        """Compare a hub with a long history with an empty one."""
        from benchmarks import growth

        effort = growth.QUICK if self.quick else growth.GrowthPlan()
        if self.referrals is not None:
            effort = replace(effort, referrals=self.referrals)
        if self.days is not None:
            effort = replace(effort, days=self.days)
        bench = growth.GrowthBench(self.bench.broker, self.bench.directory, effort, self.bench.tell)
        found = self.document["growth"] = {}
        for database in self.databases:
            found[database] = bench.measure(database, self.rounds)
            say(f"\n{database}")
            say(report.table(*growth.table_of(found[database])))

    def rotation(self) -> None:
        """Replace the keys of a hub under a constant load."""
        from benchmarks.rotation import measure_rotation

        def work(system: System, pid: int) -> Mapping[str, Measured]:
            assert isinstance(system, KopuroHub)
            seconds = 8.0 if self.quick else 60.0
            found = measure_rotation(system, rate=self.rate, seconds=seconds)
            self.document["rotation"] = found
            rows = [[str(found.with_earlier_key), str(found.with_new_key), str(found.unreadable)]]
            columns = ["loops, earlier custody key", "loops, new one", "unreadable cases"]
            say(report.table(columns, rows))
            say("No request was refused: a refusal ends the run.")
            return {}

        self.bench.with_system(OURS, work)

    def since(self) -> None:
        """Compare this version with an earlier commit."""
        from benchmarks.since import measure_since, table_of

        assert self.commit is not None
        found = measure_since(
            self.commit,
            self.bench.directory,
            self.rounds,
            self.bench.tell,
            parts=self.parts,
            quick=self.quick,
        )
        self.document["since"] = {"commit": self.commit, "rounds": found}
        say(report.table(*table_of(found)))

    def soak(self) -> None:
        """Run one hub under a constant load for a long time."""
        from benchmarks import soak

        def work(system: System, pid: int) -> Mapping[str, Measured]:
            assert isinstance(system, KopuroHub)
            found = soak.measure_soak(
                system, self.bench.broker, minutes=self.minutes, rate=self.rate, tell=self.bench.tell
            )
            self.document["soak"] = found
            for head, rows in soak.tables_of(found):
                say("\n" + report.table(head, rows))
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
                    name=names[name],
                    figure=journey_tables.over(measured, name, "saturation", figure),
                    is_ours=name == OURS,
                )
                for name in names
                if figure in measured[0][name]["saturation"]
            ]
            (self.charts / file).write_text(bars(title, unit, shown), encoding="utf-8")


def say(text: str, stream: TextIO = sys.stdout) -> None:
    """Write a line at once: a run may take an hour."""
    stream.write(text + "\n")
    stream.flush()
