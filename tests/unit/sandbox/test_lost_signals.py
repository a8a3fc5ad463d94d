"""Commands that run many steps end at the next one after a signal that Python dropped."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import benchmarks.__main__ as benchmark_runs
from benchmarks.runs import Run
from sandbox.demo import run as demo
from sandbox.demo.stories import STORIES
from sandbox.ending_signals import ending_signals_raise
from tests.machines import __main__ as machine_runs
from tests.machines.machine import Ended


def lose_a_signal() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


class Anything:
    """Has every attribute, and each can be called."""

    def __getattr__(self, name: str) -> Any:
        return Anything()

    def __call__(self, *_arguments: object, **_named: object) -> Any:
        return Anything()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_raised: object) -> None:
        return None


def test_demo_plays_no_further_story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played: list[str] = []

    def play_story(_hub: object) -> str:
        played.append("story")
        lose_a_signal()
        return "an id"

    monkeypatch.setattr(demo, "Hub", lambda *_given, **_named: Anything())
    monkeypatch.setattr(demo, "Participants", Anything())
    monkeypatch.setattr("sandbox.demo.evidence.figures", Anything())
    monkeypatch.setattr(demo, "STORIES", dict.fromkeys(STORIES, play_story))
    assert demo.play(tmp_path, console=Console(file=StringIO())) == demo.INTERRUPTED
    assert played == ["story"]


def test_benchmarks_measure_nothing_further(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured: list[str] = []

    def measure(_run: object) -> None:
        measured.append("a benchmark")
        lose_a_signal()

    @contextlib.contextmanager
    def place(_parent: Path | None) -> Iterator[tuple[Path, object]]:
        yield tmp_path, Anything()

    monkeypatch.setattr(benchmark_runs, "_place", place)
    monkeypatch.setattr("benchmarks.report.machine", lambda _directory: {})
    for name in ("journey", "peers", "fsyncs", "ceiling", "submit", "matching", "webhooks", "amqp", "audit"):
        monkeypatch.setattr(Run, name, measure)
    with pytest.raises(KeyboardInterrupt):
        benchmark_runs.main(["all", "--quick"])
    assert measured == ["a benchmark"]


def test_machines_run_no_further_command(tmp_path: Path) -> None:
    commands: list[str] = []

    def run(_account: str, command: str, **_named: object) -> Ended:
        commands.append(command)
        lose_a_signal()
        return Ended(status=0, seconds=1.0, output="")

    machine: Any = SimpleNamespace(
        root=tmp_path / "machine", clone=lambda _account: None, tell=lambda _command: "none", run=run
    )
    with ending_signals_raise(), pytest.raises(KeyboardInterrupt):
        machine_runs._on(machine, "bookworm", "root", ["make demo", "make test"], timeout=1.0)
    assert len(commands) == 1
