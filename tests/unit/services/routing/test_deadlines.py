"""The timer's steps: one that fails again and again stops none of the others."""

from __future__ import annotations

import datetime as dt
from typing import cast

import pytest

from contracts.errors import Unavailable
from services.routing.deadlines import (
    POLL_SECONDS,
    POLLS_BETWEEN_RECALLS,
    SECONDS_AFTER_WAITING,
    DeadlineTimer,
)
from services.routing.handlers.commands import DUE_AT_ONCE, RoutingCommands
from tests.unit.services.routing.samples import NOW

STEPS = (
    "fire_deadlines",
    "act_on_suspensions",
    "end_unapproved_offers",
    "decide_unplaced_again",
    "recall",
)


class FailingCommands:
    """Notes each step. failing: the one that raises; pages: how many full pages the first step has."""

    def __init__(self, failing: str = "", pages: int = 0) -> None:
        self.taken: list[str] = []
        self._failing = failing
        self._pages = pages

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

    def end_unapproved_offers(self, now: dt.datetime) -> int:
        return self._take("end_unapproved_offers")

    def decide_unplaced_again(self, now: dt.datetime) -> int:
        return self._take("decide_unplaced_again")

    def recall(self) -> None:
        self._take("recall")


class Noon:
    def now(self) -> dt.datetime:
        return NOW


def timer(commands: FailingCommands) -> DeadlineTimer:
    return DeadlineTimer(cast(RoutingCommands, commands), Noon(), lambda: None)


@pytest.mark.parametrize("failing", ["", *STEPS])
def test_step_that_fails_stops_none_of_the_others(failing: str) -> None:
    commands = FailingCommands(failing)
    for number in (0, POLLS_BETWEEN_RECALLS):
        timer(commands).poll(number)
    assert commands.taken == [*STEPS, *STEPS]


def test_full_pages_are_followed_by_the_next_at_once() -> None:
    commands = FailingCommands(pages=3)
    timer(commands).poll(1)
    assert commands.taken == ["fire_deadlines", "end_unapproved_offers", "decide_unplaced_again"]


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
