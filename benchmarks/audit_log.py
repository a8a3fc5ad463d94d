"""Audit log benchmark against pymerkle's SQLite tree: appends, proofs, verification, restart.

Kopuro appends whole events: entry, canonical JSON, salted commitment, search index, nodes and a signed head,
in one transaction per batch on SQLite with synchronous=FULL. pymerkle stores bytes as leaves, in batches of
the same size, and waits for the disk as SQLite does by default.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.audit_restart import restart
from benchmarks.child import run
from benchmarks.figures import Spread, alternated, ratios, spread

OURS: Final = "kopuro"
PYMERKLE: Final = "pymerkle"


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPlan:
    """size: of the log; sample: how many appends are timed at each end, a multiple of the batch.

    batch: entries in a transaction; proofs: how many are timed, after warm_up seconds of others.
    """

    size: int
    sample: int
    batch: int = 200  # the maximum of the service's consumer
    proofs: int = 20_000
    warm_up: float = 20.0


FULL: Final = LogPlan(size=1_000_000, sample=20_000)
QUICK: Final = LogPlan(size=4_000, sample=1_000, proofs=500, warm_up=0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Figure:
    """A row of the table. unit: `/s`, more is better; `s` and `us`, less is; the rest is only shown."""

    name: str
    title: str
    unit: str
    aim: str = ""


_FIGURES: Final = (
    _Figure(name="append_empty", title="durable appends, empty log", unit="/s", aim="10,000 or more"),
    _Figure(name="append_full", title="durable appends, full log", unit="/s"),
    _Figure(name="slowdown", title="full beside empty", unit="times as long", aim="1.2 or less"),
    _Figure(name="cpu_slowdown", title="the same in CPU time", unit="times as long"),
    _Figure(name="cpu_append", title="CPU an append, full log", unit="us"),
    _Figure(name="published", title="publication into files", unit="/s"),
    _Figure(name="proofs", title="inclusion proofs", unit="/s", aim="5,000 or more"),
    _Figure(name="cpu_proof", title="CPU a proof", unit="us"),
    _Figure(name="verify", title="verification of all entries", unit="s", aim="30 or less"),
    _Figure(name="cpu_verify", title="CPU of it", unit="s"),
    _Figure(name="restart", title="restart to checkpoint", unit="s", aim="5 or less"),
    _Figure(name="restart_whole", title="the same, all read", unit="s"),
    _Figure(name="mib_append", title="memory: appending", unit="MiB"),
    _Figure(name="mib_publish", title="memory: publishing", unit="MiB"),
    _Figure(name="mib_prove", title="memory: proving", unit="MiB"),
    _Figure(name="mib_verify", title="memory: verifying", unit="MiB"),
    _Figure(name="mib_restart", title="memory: restarted", unit="MiB"),
)


def measure_log(
    directory: Path, amqp_uri: str, effort: LogPlan, rounds: int, tell: Callable[[str], None]
) -> list[dict[str, dict[str, float]]]:
    """Return the figures of each round and contender, by name."""
    measured = []
    for number, order in enumerate(alternated((OURS, PYMERKLE), rounds), start=1):
        found = {}
        for name in order:
            place = directory / f"{name}-{number}"
            place.mkdir(parents=True)
            try:
                found[name] = (
                    _ours(place, amqp_uri, effort, tell) if name == OURS else _pymerkle(place, effort, tell)
                )
            finally:
                shutil.rmtree(place, ignore_errors=True)
        measured.append(found)
    return measured


def _ours(place: Path, amqp_uri: str, effort: LogPlan, tell: Callable[[str], None]) -> dict[str, float]:
    task = _tasks("benchmarks.audit_kopuro", OURS, place, effort, tell)
    grown, published = task("grow"), task("publish")
    proved, verified = task("prove"), task("verify")
    # The first start stores its check result; the second is the usual case.
    whole, again = restart(place, amqp_uri), restart(place, amqp_uri)
    tell(f"{OURS}: restarts in {whole['seconds']:.1f} s and {again['seconds']:.1f} s")
    return {
        **_common(grown, proved, verified),
        "published": published["rate"],
        "restart": again["seconds"],
        "restart_whole": whole["seconds"],
        "mib_publish": published["mib"],
        "mib_restart": again["mib"],
    }


def _pymerkle(place: Path, effort: LogPlan, tell: Callable[[str], None]) -> dict[str, float]:
    task = _tasks("benchmarks.audit_pymerkle", PYMERKLE, place, effort, tell)
    grown, proved, verified = task("grow"), task("prove"), task("verify")
    begun = time.perf_counter()
    restarted = task("restart")
    seconds = time.perf_counter() - begun
    return {**_common(grown, proved, verified), "restart": seconds, "mib_restart": restarted["mib"]}


def _common(
    grown: Mapping[str, float], proved: Mapping[str, float], verified: Mapping[str, float]
) -> dict[str, float]:
    return {
        "append_empty": grown["empty"],
        "append_full": grown["full"],
        "slowdown": grown["empty"] / grown["full"],
        "cpu_slowdown": grown["full_cpu_us"] / grown["empty_cpu_us"],
        "cpu_append": grown["full_cpu_us"],
        "proofs": proved["rate"],
        "cpu_proof": proved["cpu_us"],
        "verify": verified["seconds"],
        "cpu_verify": verified["cpu"],
        "mib_append": grown["mib"],
        "mib_prove": proved["mib"],
        "mib_verify": verified["mib"],
    }


def task_options(place: Path, effort: LogPlan) -> Mapping[str, Any]:
    """Return the options of each task in a directory."""
    return {
        "directory": str(place),
        "size": effort.size,
        "sample": effort.sample,
        "batch": effort.batch,
        "proving": {"proofs": effort.proofs, "warm_up": effort.warm_up, "seed": 7},
    }


def _tasks(
    module: str, name: str, place: Path, effort: LogPlan, tell: Callable[[str], None]
) -> Callable[[str], dict[str, float]]:
    options = task_options(place, effort)

    def task(what: str) -> dict[str, float]:
        found = run(module, what, options)
        tell(f"{name}: {what}: " + ", ".join(f"{key} {value:,.1f}" for key, value in found.items()))
        return found

    return task


def table(measured: Sequence[Mapping[str, Mapping[str, float]]], effort: LogPlan) -> str:
    """Return a table: per figure its target, both contenders, and the ratio in our favour."""
    rows = [_row(figure, measured) for figure in _FIGURES]
    head = [
        f"audit log of {effort.size:,} entries",
        "unit",
        "aim",
        "kopuro",
        "pymerkle on SQLite",
        "this many times as fast, or cheap",
    ]
    return report.table(head, rows)


def _row(figure: _Figure, measured: Sequence[Mapping[str, Mapping[str, float]]]) -> list[str]:
    digits = 0 if figure.unit in ("/s", "us", "MiB") else 2

    def of(name: str) -> Spread | None:
        values = [one[name][figure.name] for one in measured if figure.name in one[name]]
        return spread(values) if values else None

    compared = ""
    if figure.unit in ("/s", "s", "us") and of(PYMERKLE) is not None:
        speeds = [
            {
                name: found[figure.name] if figure.unit == "/s" else 1 / found[figure.name]
                for name, found in one.items()
            }
            for one in measured
        ]
        compared = report.written(ratios(speeds, of=OURS)[PYMERKLE], 2)
    shown = [
        "" if (found := of(name)) is None else report.written(found, digits) for name in (OURS, PYMERKLE)
    ]
    return [figure.title, figure.unit, figure.aim, *shown, compared]
