"""This version beside an earlier commit, in one run: closed loops, `POST /v1/referrals`, the audit log.

Both versions run their own benchmarks, each from its own directory with its own environment and broker,
in turns of alternating order. An earlier commit is unpacked once and gets the packages of its own lock file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.audit_log import QUICK, LogPlan, task_options
from benchmarks.child import figures_in
from benchmarks.comparison import OURS
from benchmarks.figures import alternated, spread
from benchmarks.journey_tables import STEPS

NOW, EARLIER = "now", "earlier"
# Closed loops take three minutes of a round, submissions and the audit log one each.
PARTS: Final = ("loops", "submit", "log")
# The measured processes that are not services.
_OTHERS: Final = ("broker", "driver")
_ROOT: Final = Path(__file__).resolve().parent.parent
_ENVIRONMENT: Final = Path("build/venv-bench")  # where every commit's Makefile installs it
# A log that takes seconds to grow, since each turn grows one.
_LOG: Final = LogPlan(size=100_000, sample=20_000, warm_up=0.5)

Turn = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Figure:
    """A figure of a turn, and its unit. read: raises KeyError if the turn has no such figure."""

    title: str
    unit: str
    read: Callable[[Turn], float]


def _services_cpu(turn: Turn) -> float:
    usage = turn["journey"]["saturation"]["usage"]["cpu_ms_a_loop"]
    return sum(float(used) for name, used in usage.items() if name not in _OTHERS)


def _at(*path: str) -> Callable[[Turn], float]:
    """Return a reader of the figure at the path."""

    def read(turn: Turn) -> float:
        found: Any = turn
        for name in path:
            found = found[name]
        return float(found)

    return read


def _figures(turn: Turn) -> list[_Figure]:
    saturated = ("journey", "saturation")
    found = [
        _Figure(title="closed loops at saturation", unit="a second", read=_at(*saturated, "rate")),
        _Figure(title="a loop at saturation: the services", unit="CPU ms", read=_services_cpu),
        _Figure(
            title="a loop at saturation: all processes", unit="CPU ms", read=_at(*saturated, "cpu_ms_a_loop")
        ),
    ]
    for load in turn.get("journey", {}):
        if load != "saturation":
            found += [
                _Figure(
                    title=f"{title} at {load}, p99",
                    unit="ms",
                    read=_at("journey", load, "latency_ms", step, "p99"),
                )
                for step, title in STEPS.items()
            ]
            found.append(
                _Figure(
                    title=f"a loop at {load}: all processes",
                    unit="CPU ms",
                    read=_at("journey", load, "cpu_ms_a_loop"),
                )
            )
    found += [
        _Figure(title=f"POST /v1/referrals, {kind}{of}", unit=unit, read=_at("submit", kind, name))
        for kind in ("alone", "whole hub")
        for name, of, unit in (("rate", "", "a second"), ("p99", ", p99 at half of it", "ms"))
    ]
    return [
        *found,
        _Figure(title="audit log: appends", unit="a second", read=_at("log", "full")),
        _Figure(title="audit log: an append", unit="CPU us", read=_at("log", "full_cpu_us")),
        _Figure(title="audit log: inclusion proofs", unit="a second", read=_at("proofs", "rate")),
        _Figure(title="audit log: a proof", unit="CPU us", read=_at("proofs", "cpu_us")),
    ]


def measure_since(
    commit: str,
    directory: Path,
    rounds: int,
    tell: Callable[[str], None],
    *,
    parts: Sequence[str] = PARTS,
    quick: bool,
) -> list[dict[str, Turn]]:
    """Return the figures of each round and version.

    commit: as `resolved_commit` returns it. parts: of PARTS. quick: a smoke test. Raises CalledProcessError
    if a version cannot be installed or its benchmark fails.
    """
    places = {NOW: _ROOT, EARLIER: _unpacked(commit, tell)}
    pythons = {NOW: Path(sys.executable), EARLIER: places[EARLIER] / _ENVIRONMENT / "bin" / "python"}
    measured: list[dict[str, Turn]] = []
    for number, order in enumerate(alternated((EARLIER, NOW), rounds), start=1):
        found: dict[str, Turn] = {}
        for version in order:
            place = directory / f"since-{number}-{version}"
            place.mkdir(parents=True)
            try:
                found[version] = _turn(pythons[version], places[version], place, parts=parts, quick=quick)
            finally:
                shutil.rmtree(place, ignore_errors=True)
            tell(f"round {number} of {rounds}: {version}: measured")
        measured.append(found)
    return measured


def table_of(measured: Sequence[Mapping[str, Turn]]) -> tuple[list[str], list[list[str]]]:
    """Return heading and rows: each figure of both versions, and their ratio within a round."""
    rows = []
    for figure in _figures(measured[0][NOW]):
        try:
            values = [{version: figure.read(one[version]) for version in (NOW, EARLIER)} for one in measured]
        except KeyError:
            continue
        rows.append(
            [
                figure.title,
                figure.unit,
                *(report.written(spread([one[version] for one in values])) for version in (EARLIER, NOW)),
                report.written(spread([one[NOW] / one[EARLIER] for one in values]), 2),
            ]
        )
    return ["", "unit", EARLIER, NOW, f"{NOW} divided by {EARLIER}"], rows


def resolved_commit(commit: str) -> str:
    """Return the whole hash of a commit. Raises ValueError if the repository does not have it."""
    name = f"{commit}^{{commit}}"
    command = ["git", "-C", str(_ROOT), "rev-parse", "--verify", "--quiet", "--end-of-options", name]
    named = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if named.returncode:
        raise ValueError(f"{commit} is not a commit of this repository")
    return named.stdout.strip()


def _unpacked(commit: str, tell: Callable[[str], None]) -> Path:
    """Return the directory of the commit with its environment, both made if they are missing."""
    place = _ROOT / "build" / "since" / commit
    # Make ran this benchmark: the Makefile of the commit must not inherit its options.
    ours = ("MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if not place.exists():
        tell(f"unpacking {commit[:8]}")
        partial = place.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "-C", str(_ROOT), "archive", commit], check=True, stdout=subprocess.PIPE
        ).stdout
        subprocess.run(["tar", "-x", "-C", str(partial)], check=True, input=archive)
        partial.rename(place)
    tell(f"installing the packages of {commit[:8]}, unless they are there")
    stamp = _ENVIRONMENT / ".installed"
    command = ["make", "-C", str(place), f"PYTHON={sys.executable}", str(stamp)]
    subprocess.run(command, check=True, stdout=sys.stderr, env=environment)
    return place


def _turn(python: Path, version: Path, place: Path, *, parts: Sequence[str], quick: bool) -> Turn:
    """Return the figures of the parts of one version in one turn."""
    told = place / "figures.json"

    def benchmark(name: str) -> Any:
        options = ["--rounds", "1", "--json", str(told), *(["--quick"] if quick else [])]
        _run([str(python), "-m", "benchmarks", name, *options], version)
        return json.loads(told.read_text(encoding="utf-8"))[name]

    options = json.dumps(task_options(place, QUICK if quick else _LOG))

    def log(task: str) -> dict[str, float]:
        return figures_in(_run([str(python), "-m", "benchmarks.audit_kopuro", task, options], version))

    found: dict[str, Any] = {}
    if "loops" in parts:
        found["journey"] = benchmark("journey")[0][OURS]
    if "submit" in parts:
        found["submit"] = {kind: results[0] for kind, results in benchmark("submit").items()}
    if "log" in parts:
        found["log"], _, found["proofs"] = log("grow"), log("publish"), log("prove")
    return found


def _run(command: Sequence[str], version: Path) -> str:
    """Run a command of a version to its end and return its output; end it as this process is ended."""
    running = subprocess.Popen(command, cwd=version, stdout=subprocess.PIPE, text=True)
    try:
        said, _ = running.communicate()
    except BaseException:
        # A benchmark ends its hub and its broker on this signal.
        running.send_signal(signal.SIGTERM)
        running.wait()
        raise
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command, said)
    return said
