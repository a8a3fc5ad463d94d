"""Derandomised walks of a state machine in several tests, so that none of them takes long."""

from __future__ import annotations

from typing import TypeVar, cast

from hypothesis.stateful import RuleBasedStateMachine

M = TypeVar("M", bound=RuleBasedStateMachine)


def quarters_of(machine: type[M]) -> list[type[M]]:
    """Return four state machines with the rules of this one.

    Hypothesis derives a derandomised test's examples from the machine's name, so that each takes other walks.
    """
    return [cast(type[M], type(f"{machine.__name__}{number}", (machine,), {})) for number in range(1, 5)]
