from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from contracts.errors import Unavailable
from runtime.periodic import Periodic

LONG = 3600.0


class Turns:
    """Counts turns; `raises` is raised in each."""

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


def test_the_first_turn_comes_at_once_and_the_next_when_woken() -> None:
    turns = Turns()
    periodic = Periodic("test", turns, seconds=LONG)
    periodic.start(spawn)
    assert turns.another()
    periodic.wake()
    assert turns.another()
    periodic.stop()


def test_turns_come_by_the_clock() -> None:
    turns = Turns()
    periodic = Periodic("test", turns, seconds=0.001)
    periodic.start(spawn)
    assert all(turns.another() for _ in range(5))
    periodic.stop()


def test_a_turn_that_could_not_be_done_is_not_the_last() -> None:
    turns = Turns(Unavailable("The database is away."))
    periodic = Periodic("test", turns, seconds=0.001)
    periodic.start(spawn)
    assert all(turns.another() for _ in range(3))
    periodic.stop()


def test_a_defect_ends_the_work_and_stopping_does_not_wait_for_it() -> None:
    ended = threading.Event()

    def run(function: Callable[[], None]) -> None:
        with pytest.raises(ValueError, match="defect"):
            function()
        ended.set()

    periodic = Periodic("test", Turns(ValueError("defect")), seconds=LONG)
    periodic.start(lambda function: spawn(lambda: run(function)))
    assert ended.wait(5)
    periodic.stop()


def test_stopping_waits_for_the_turn_under_way() -> None:
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


def test_what_never_started_stops_too() -> None:
    Periodic("test", Turns(), seconds=LONG).stop()
