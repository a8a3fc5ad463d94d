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
    (kind, state, event)
    for kind, table in TABLES.items()
    for state, steps in table.items()
    for event in steps
]
ILLEGAL = sorted(set(product(TABLES, DeliveryState, DeliveryEvent)) - set(LEGAL))


@pytest.mark.parametrize("table", TABLES.values(), ids=["recorded", "notice"])
def test_table_has_row_for_every_state(table: object) -> None:
    assert set(table) == set(DeliveryState)  # type: ignore[call-overload]


def test_recorded_message_is_delivered_then_acknowledged() -> None:
    delivered = step(OFFER, DeliveryState.queued, DeliveryEvent.deliver)
    assert (delivered, step(OFFER, delivered, DeliveryEvent.acknowledge)) == (
        DeliveryState.delivered,
        DeliveryState.acknowledged,
    )


def test_delivery_of_notice_changes_nothing() -> None:
    assert step(NOTICE, DeliveryState.queued, DeliveryEvent.deliver) is DeliveryState.queued
    assert step(NOTICE, DeliveryState.queued, DeliveryEvent.acknowledge) is DeliveryState.acknowledged


@pytest.mark.parametrize(("kind", "state", "event"), LEGAL)
def test_repeated_event_changes_nothing(kind: str, state: DeliveryState, event: DeliveryEvent) -> None:
    once = step(kind, state, event)
    assert step(kind, once, event) is once


@pytest.mark.parametrize(("kind", "state", "event"), LEGAL)
def test_event_never_returns_to_earlier_state(kind: str, state: DeliveryState, event: DeliveryEvent) -> None:
    order = list(DeliveryState)
    assert order.index(step(kind, state, event)) >= order.index(state)


@pytest.mark.parametrize(("kind", "state", "event"), ILLEGAL)
def test_illegal_event_raises(kind: str, state: DeliveryState, event: DeliveryEvent) -> None:
    with pytest.raises(IllegalDeliveryTransition) as illegal:
        step(kind, state, event)
    assert illegal.value.slug == "conflict"


def test_only_illegal_event_acknowledges_undelivered_recorded_message() -> None:
    assert [(OFFER, DeliveryState.queued, DeliveryEvent.acknowledge)] == ILLEGAL


def test_recorded_types_are_in_catalogue() -> None:
    assert set(CATALOGUE) >= RECORDED
    assert OFFER in RECIPIENTS.keys() & RECORDED
