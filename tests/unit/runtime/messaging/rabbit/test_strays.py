"""What the management API lists and the topology does not declare."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.topology import EVENTS, REPLIES, hub_topology, reply_queue_prefix
from runtime.messaging.rabbit.strays import strays_among

TOPOLOGY = hub_topology()
OWN = f"{reply_queue_prefix('intake')}0a"


def bound(source: str, destination: str, key: str = "k", kind: str = "queue", **more: Any) -> dict[str, Any]:
    return {
        "source": source,
        "destination": destination,
        "destination_type": kind,
        "routing_key": key,
        "properties_key": key,
        "arguments": {},
        **more,
    }


def listed(**more: list[dict[str, Any]]) -> list[str]:
    """Return the strays of a complete broker with further queues, exchanges and bindings."""
    queues = [{"name": one.name, "exclusive": False} for one in TOPOLOGY.queues]
    exchanges = [{"name": one.name} for one in TOPOLOGY.exchanges]
    bindings = [
        bound(
            one.source,
            one.destination,
            one.key,
            "exchange" if one.to_exchange else "queue",
            arguments=dict(one.arguments),
        )
        for one in TOPOLOGY.bindings
    ]
    bindings += [bound("", one.name, one.name) for one in TOPOLOGY.queues]
    found = strays_among(
        TOPOLOGY,
        "kopuro",
        queues=[*queues, *more.get("queues", [])],
        exchanges=[*exchanges, {"name": ""}, {"name": "amq.topic"}, *more.get("exchanges", [])],
        bindings=[*bindings, *more.get("bindings", [])],
    )
    return [str(one) for one in found]


def test_complete_broker_has_no_strays() -> None:
    assert listed() == []


def test_private_queue_that_ends_with_its_connection_is_not_a_stray() -> None:
    own = {"name": OWN, "exclusive": True}
    assert listed(queues=[own], bindings=[bound(f"{REPLIES}.intake", OWN)]) == []
    browsed = {"name": "vault.parked.looked-at", "exclusive": True}
    assert listed(queues=[browsed]) == []
    # Nor is the binding of one that has ended between the lists.
    assert listed(bindings=[bound(f"{REPLIES}.intake", OWN)]) == []


@pytest.mark.parametrize(
    "queue",
    [
        {"name": OWN, "exclusive": False},
        {"name": OWN},
        {"name": "intake.other", "exclusive": True},
        {"name": "vault.parked.looked-at", "exclusive": False},
    ],
)
def test_queue_that_lasts_or_has_another_name_is_a_stray_with_its_bindings(queue: dict[str, Any]) -> None:
    name = queue["name"]
    assert listed(queues=[queue], bindings=[bound(f"{REPLIES}.intake", name)]) == [f"queue {name}"]


def test_binding_of_a_private_queue_to_another_exchange_is_a_stray() -> None:
    own = {"name": OWN, "exclusive": True}
    found = listed(queues=[own], bindings=[bound(f"{EVENTS}.intake", OWN)])
    assert found == [f"binding {EVENTS}.intake -> {OWN} (k)"]


def test_binding_with_another_key_or_other_arguments_is_a_stray() -> None:
    one = TOPOLOGY.bindings[0]
    kind = "exchange" if one.to_exchange else "queue"
    other_key = bound(one.source, one.destination, f"{one.key}x", kind, arguments=dict(one.arguments))
    other_arguments = bound(one.source, one.destination, one.key, kind, arguments={"x": 1})
    assert len(listed(bindings=[other_key, other_arguments])) == 2


def test_name_of_a_stray_is_shown_short_and_printable() -> None:
    (found,) = listed(exchanges=[{"name": "a\n\N{SNOWMAN}" + "b" * 252}])
    assert found == "exchange a??" + "b" * 57 + "..."
