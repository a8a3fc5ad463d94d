from __future__ import annotations

from itertools import product

import pytest

from contracts.facts import CATALOGUE, OfferDeclined, OfferOpened
from services.delivery.domain.delivery import (
    NOTICE_TRANSITIONS,
    RECORDED,
    TRANSITIONS,
    DeliveryEvent,
    DeliveryState,
    IllegalDeliveryTransition,
    step,
)
from services.delivery.domain.recipients import RECIPIENTS

OFFER, NOTICE = OfferOpened.type, OfferDeclined.type
TABLES = {OFFER: TRANSITIONS, NOTICE: NOTICE_TRANSITIONS}
LEGAL = [
    (kind, state, taken)
    for kind, table in TABLES.items()
    for state, steps in table.items()
    for taken in steps
]
ILLEGAL = sorted(set(product(TABLES, DeliveryState, DeliveryEvent)) - set(LEGAL))


@pytest.mark.parametrize("table", TABLES.values(), ids=["recorded", "notice"])
def test_every_state_has_its_row(table: object) -> None:
    assert set(table) == set(DeliveryState)  # type: ignore[call-overload]


def test_a_recorded_message_is_handed_out_and_then_acknowledged() -> None:
    delivered = step(OFFER, DeliveryState.queued, DeliveryEvent.deliver)
    assert (delivered, step(OFFER, delivered, DeliveryEvent.acknowledge)) == (
        DeliveryState.delivered,
        DeliveryState.acknowledged,
    )


def test_a_notice_is_acknowledged_and_its_hand_out_is_no_change() -> None:
    assert step(NOTICE, DeliveryState.queued, DeliveryEvent.deliver) is DeliveryState.queued
    assert step(NOTICE, DeliveryState.queued, DeliveryEvent.acknowledge) is DeliveryState.acknowledged


@pytest.mark.parametrize(("kind", "state", "taken"), LEGAL)
def test_a_step_taken_twice_comes_to_the_same(kind: str, state: DeliveryState, taken: DeliveryEvent) -> None:
    once = step(kind, state, taken)
    assert step(kind, once, taken) is once


@pytest.mark.parametrize(("kind", "state", "taken"), LEGAL)
def test_nothing_goes_back(kind: str, state: DeliveryState, taken: DeliveryEvent) -> None:
    order = list(DeliveryState)
    assert order.index(step(kind, state, taken)) >= order.index(state)


@pytest.mark.parametrize(("kind", "state", "taken"), ILLEGAL)
def test_an_illegal_step_raises(kind: str, state: DeliveryState, taken: DeliveryEvent) -> None:
    with pytest.raises(IllegalDeliveryTransition) as illegal:
        step(kind, state, taken)
    assert illegal.value.slug == "conflict"


def test_alone_what_is_recorded_cannot_be_acknowledged_before_it_was_handed_out() -> None:
    assert [(OFFER, DeliveryState.queued, DeliveryEvent.acknowledge)] == ILLEGAL


def test_what_is_recorded_exists() -> None:
    assert set(CATALOGUE) >= RECORDED
    assert OFFER in RECIPIENTS.keys() & RECORDED
