"""The timer's steps: one that fails again and again stops none of the others."""

from __future__ import annotations

import datetime as dt
from typing import cast

import pytest

from contracts.errors import Unavailable
from services.routing.deadlines import (
    POLL_SECONDS,
    POLLS_BETWEEN_LOOKS,
    POLLS_BETWEEN_RECALLS,
    POLLS_BETWEEN_STANDINGS,
    SECONDS_AFTER_WAITING,
    DeadlineTimer,
)
from services.routing.handlers.commands import DUE_AT_ONCE, RoutingCommands
from tests.unit.services.routing.samples import NOW

STEPS = (
    "fire_deadlines",
    "act_on_suspensions",
    "end_uncovered_offers",
    "decide_unplaced_again",
    "recall",
)


class FailingCommands:
    """Notes each step. failing: the one that raises; pages: how many full pages the first step has."""

    def __init__(self, failing: str = "", pages: int = 0) -> None:
        self.taken: list[str] = []
        self._failing = failing
        self._pages = pages

        self.version = 1
        self.due: dt.datetime | None = None

    def inputs(self) -> object:
        if self._failing == "inputs":
            raise Unavailable("The database does not answer.")
        return self.version

    def idle_until(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(days=1) if self.due is None else max(now, self.due)

    def polls(self) -> int:
        """Return and forget the number of polls since the last call."""
        number, self.taken = self.taken.count("fire_deadlines"), []
        return number

    def _take(self, step: str) -> int:
        self.taken.append(step)
        if step == self._failing:
            raise Unavailable("The database does not answer.")
        return 0

    def fire_deadlines(self, now: dt.datetime) -> int:
        self._pages -= 1
        return self._take("fire_deadlines") if self._pages < 0 else DUE_AT_ONCE

    def act_on_suspensions(self, now: dt.datetime) -> int:
        return self._take("act_on_suspensions")

    def end_uncovered_offers(self, now: dt.datetime) -> int:
        return self._take("end_uncovered_offers")

    def decide_unplaced_again(self, now: dt.datetime) -> int:
        return self._take("decide_unplaced_again")

    def recall(self) -> None:
        self._take("recall")


class Noon:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> dt.datetime:
        return self.time


def timer(commands: FailingCommands, clock: Noon | None = None) -> DeadlineTimer:
    return DeadlineTimer(cast(RoutingCommands, commands), clock or Noon(), lambda: None)


def idle_timer(commands: FailingCommands, clock: Noon | None = None) -> DeadlineTimer:
    """Return a timer after a poll for every step, just behind one that is never skipped."""
    idle = timer(commands, clock)
    for _ in range(POLLS_BETWEEN_LOOKS + 1):
        idle.turn()
    commands.polls()
    return idle


def turns(timer: DeadlineTimer, number: int) -> None:
    for _ in range(number):
        assert timer.turn() == POLL_SECONDS


def test_polls_are_skipped_once_each_step_was_taken_and_nothing_changes() -> None:
    commands = FailingCommands()
    idle = timer(commands)
    turns(idle, POLLS_BETWEEN_STANDINGS)
    assert commands.taken.count("act_on_suspensions") == 1
    assert commands.polls() == POLLS_BETWEEN_STANDINGS
    turns(idle, POLLS_BETWEEN_LOOKS - POLLS_BETWEEN_STANDINGS)
    assert commands.polls() == 0


def test_change_is_polled_at_the_next_turn_and_until_each_step_was_taken() -> None:
    commands = FailingCommands()
    idle = idle_timer(commands)
    turns(idle, 1)
    assert commands.polls() == 0
    commands.version += 1
    turns(idle, 1)
    assert commands.taken[0] == "fire_deadlines"
    turns(idle, POLLS_BETWEEN_STANDINGS - 1)
    assert commands.taken.count("act_on_suspensions") == 1
    assert commands.polls() == POLLS_BETWEEN_STANDINGS
    turns(idle, 3)
    assert commands.polls() == 0


def test_deadline_is_polled_when_it_is_due_and_until_it_has_fired() -> None:
    commands, clock = FailingCommands(), Noon()
    commands.due = NOW + dt.timedelta(seconds=1)
    idle = idle_timer(commands, clock)
    clock.time = commands.due - dt.timedelta(microseconds=1)
    turns(idle, 1)
    assert commands.polls() == 0
    clock.time = commands.due
    turns(idle, 3)
    assert commands.polls() == 3, "a backlog of answers may delay it"
    commands.due = None
    turns(idle, 2)
    assert commands.polls() == 1


def test_some_polls_are_never_skipped() -> None:
    commands = FailingCommands()
    idle = timer(commands)
    turns(idle, 2 * POLLS_BETWEEN_RECALLS)
    assert commands.taken.count("recall") == 2
    commands.polls()
    turns(idle, 2 * POLLS_BETWEEN_RECALLS)
    assert commands.taken.count("act_on_suspensions") == commands.taken.count("fire_deadlines")
    assert commands.taken.count("recall") == 2
    # 80, 96, 112, 120, 128, 144
    assert commands.polls() == 6
    # The time for an offer to a suspended organisation to move.
    assert POLLS_BETWEEN_LOOKS * POLL_SECONDS < 5


@pytest.mark.parametrize("failing", [*STEPS, "inputs"])
def test_no_poll_is_skipped_while_a_step_fails(failing: str) -> None:
    commands = FailingCommands(failing)
    waiting = timer(commands)
    # `recall` is taken in some of them only.
    turns(waiting, POLLS_BETWEEN_STANDINGS)
    assert commands.polls() == POLLS_BETWEEN_STANDINGS
    turns(waiting, 1)
    assert commands.polls() == 1


@pytest.mark.parametrize("failing", ["", *STEPS])
def test_step_that_fails_stops_none_of_the_others(failing: str) -> None:
    commands = FailingCommands(failing)
    for number in (0, POLLS_BETWEEN_RECALLS):
        timer(commands).poll(number)
    assert commands.taken == [*STEPS, *STEPS]


def test_full_pages_are_followed_by_the_next_at_once() -> None:
    commands = FailingCommands(pages=3)
    timer(commands).poll(1)
    assert commands.taken == ["fire_deadlines", "end_uncovered_offers", "decide_unplaced_again"]


def test_nothing_is_begun_after_the_stop() -> None:
    commands = FailingCommands()
    stopped = timer(commands)
    stopped.stop()
    stopped.poll(0)
    assert commands.taken == []


def test_nothing_is_done_while_the_directory_is_incomplete_nor_before_waiting_answers_are_read() -> None:
    commands = FailingCommands()
    reasons: list[str | Exception | None] = [
        "incomplete",
        Unavailable("The database does not answer."),
        "incomplete",
    ]

    def unready() -> str | None:
        reason = reasons.pop(0) if reasons else None
        if isinstance(reason, Exception):
            raise reason
        return reason

    waiting = DeadlineTimer(cast(RoutingCommands, commands), Noon(), unready)
    assert [waiting.turn() for _ in range(3)] == [POLL_SECONDS] * 3
    assert waiting.turn() == SECONDS_AFTER_WAITING
    assert commands.taken == []
    assert waiting.turn() == POLL_SECONDS
    assert commands.taken == list(STEPS)
