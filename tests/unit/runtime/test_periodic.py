from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from contracts.errors import Unavailable
from runtime.periodic import Periodic

LONG = 3600.0


class Runs:
    """Counts runs and raises `raises` in each."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.begun = threading.Semaphore(0)
        self.raises = raises

    def __call__(self) -> None:
        self.begun.release()
        if self.raises is not None:
            raise self.raises

    def another(self) -> bool:
        return self.begun.acquire(timeout=5)


def spawn(function: Callable[[], None]) -> None:
    threading.Thread(target=function, daemon=True).start()


def test_periodic_runs_at_once_and_when_woken() -> None:
    runs = Runs()
    periodic = Periodic("test", runs, seconds=LONG)
    periodic.start(spawn)
    assert runs.another()
    periodic.wake()
    assert runs.another()
    periodic.stop()


def test_periodic_runs_at_its_interval() -> None:
    runs = Runs()
    periodic = Periodic("test", runs, seconds=0.001)
    periodic.start(spawn)
    assert all(runs.another() for _ in range(5))
    periodic.stop()


def test_periodic_continues_after_unavailable() -> None:
    runs = Runs(Unavailable("The database is unavailable."))
    periodic = Periodic("test", runs, seconds=0.001)
    periodic.start(spawn)
    assert all(runs.another() for _ in range(3))
    periodic.stop()


def test_periodic_ends_on_defect_and_stop_returns() -> None:
    ended = threading.Event()

    def run(function: Callable[[], None]) -> None:
        with pytest.raises(ValueError, match="defect"):
            function()
        ended.set()

    periodic = Periodic("test", Runs(ValueError("defect")), seconds=LONG)
    periodic.start(lambda function: spawn(lambda: run(function)))
    assert ended.wait(5)
    periodic.stop()


def test_periodic_stop_waits_for_the_current_run() -> None:
    begun, go_on = threading.Event(), threading.Event()
    finished: list[bool] = []

    def work() -> None:
        begun.set()
        go_on.wait(5)
        finished.append(True)

    periodic = Periodic("test", work, seconds=LONG)
    periodic.start(spawn)
    assert begun.wait(5)
    threading.Timer(0.05, go_on.set).start()
    periodic.stop()
    assert finished == [True]


def test_periodic_stop_without_start_returns() -> None:
    Periodic("test", Runs(), seconds=LONG).stop()
