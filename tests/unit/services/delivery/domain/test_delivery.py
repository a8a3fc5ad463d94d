from __future__ import annotations

from itertools import product

import pytest

from contracts.facts import CATALOGUE
from services.delivery.domain.delivery import RECORDED, TRANSITIONS, IllegalStep, State, Step, step
from services.delivery.domain.recipients import RECIPIENTS

LEGAL = [(state, taken) for state, steps in TRANSITIONS.items() for taken in steps]
ILLEGAL = sorted(set(product(State, Step)) - set(LEGAL))


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_a_message_is_handed_out_and_then_acknowledged() -> None:
    delivered = step(State.queued, Step.hand_out)
    assert (delivered, step(delivered, Step.acknowledge)) == (State.delivered, State.acknowledged)


@pytest.mark.parametrize(("state", "taken"), LEGAL)
def test_a_step_taken_twice_comes_to_the_same(state: State, taken: Step) -> None:
    once = step(state, taken)
    assert step(once, taken) is once


@pytest.mark.parametrize(("state", "taken"), LEGAL)
def test_nothing_goes_back(state: State, taken: Step) -> None:
    order = list(State)
    assert order.index(step(state, taken)) >= order.index(state)


@pytest.mark.parametrize(("state", "taken"), ILLEGAL)
def test_an_illegal_step_raises(state: State, taken: Step) -> None:
    with pytest.raises(IllegalStep) as illegal:
        step(state, taken)
    assert illegal.value.slug == "conflict"


def test_what_was_never_handed_out_cannot_be_acknowledged() -> None:
    assert (State.queued, Step.acknowledge) in ILLEGAL


def test_what_is_recorded_exists() -> None:
    assert set(CATALOGUE) >= RECORDED
    assert "kopuro.offer.opened.v1" in RECIPIENTS.keys() & RECORDED
