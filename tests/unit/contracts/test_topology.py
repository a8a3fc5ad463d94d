from __future__ import annotations

import re
from collections import Counter

import pytest

from contracts.facts import CATALOGUE, Fact
from contracts.topology import (
    CASES,
    DIRECT,
    EVENTS,
    PARTITION_HEADER,
    PARTITIONS,
    ROUTING_PARTITIONED,
    ROUTING_PARTITIONS,
    ROUTING_QUERIES,
    Binding,
    Queue,
    hub_topology,
    partition_of,
    route_for,
)

TOPOLOGY = hub_topology()
QUEUES = {queue.name: queue for queue in TOPOLOGY.queues}
WORK_QUEUES = sorted(q.name for q in TOPOLOGY.queues if "x-dead-letter-exchange" in q.arguments)
PARKED = {str(QUEUES[name].arguments["x-dead-letter-routing-key"]) for name in WORK_QUEUES}

# Facts that no service acts on, and why they are said all the same.
AUDIT_ONLY = {
    "note.submitted": "the note itself goes to the vault, sealed; this says that one was passed on",
    "case.released": "the case itself goes to delivery, sealed; this says that it was released",
    "case.erased": "nothing follows from it; the record must show that it was done",
    "delivery.delivered": "routing counts from the deadline, not from the delivery",
    "delivery.acknowledged": "an acknowledgement is not an answer",
    "history.read": "nothing follows from it; the record must show who looked",
    "history.exported": "nothing follows from it; the record must show who took it away",
    "log.exported": "nothing follows from it; the record must show who took how much away",
}
# Facts that are sent to one queue by name, never through the exchange.
SENT_DIRECTLY = {
    "replica.completed": "the answer goes to the queue that `replica.requested` names",
    "receipts.issued": "delivery puts it into a mailbox; in the log a receipt would need a receipt",
    "receipt.issued": "delivery puts it into a mailbox; in the log a receipt would need a receipt",
}
# Facts that are put into a mailbox, and never sent at all.
PULLED = {
    "note.delivered": "delivery makes it in the receiver's mailbox, from the letter that the vault sent",
}


def takes(pattern: str, key: str) -> bool:
    """AMQP 0-9-1 §3.1.3.3: `*` is one word, `#` any number of them."""
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(r"\#", ".*")
    return re.fullmatch(expression, key) is not None


def takers(fact: type[Fact]) -> set[str]:
    """The queues and exchanges that take the fact from its exchange."""
    return {
        b.destination
        for b in TOPOLOGY.bindings
        if b.source == fact.exchange and takes(b.key, fact.routing_key)
    }


def bound_to(destination: str) -> list[Binding]:
    return [b for b in TOPOLOGY.bindings if b.destination == destination]


def test_names_are_unique_and_every_binding_joins_what_is_declared() -> None:
    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges}
    assert len(QUEUES) == len(TOPOLOGY.queues)
    assert len(exchanges) == len(TOPOLOGY.exchanges)
    assert len(set(TOPOLOGY.bindings)) == len(TOPOLOGY.bindings)
    for binding in TOPOLOGY.bindings:
        assert binding.source in exchanges
        assert binding.destination in (exchanges if binding.to_exchange else QUEUES)


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_each_work_queue_is_bound_and_has_its_parked_queue(name: str) -> None:
    arguments = QUEUES[name].arguments
    assert bound_to(name)
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-dead-letter-exchange"] == DIRECT
    parked = QUEUES[arguments["x-dead-letter-routing-key"]]
    assert parked.arguments["x-queue-type"] == "quorum"
    # an operator's look counts as a delivery, and what is parked has nowhere to be dead-lettered to
    assert parked.arguments["x-delivery-limit"] >= 1_000_000
    assert not bound_to(parked.name)


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_a_dead_letter_cannot_be_lost_on_its_way(name: str) -> None:
    arguments = QUEUES[name].arguments
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    # without it the broker falls back to at-most-once in silence
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-delivery-limit"] > 0


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_the_order_of_a_queue_is_the_order_of_effects(name: str) -> None:
    assert QUEUES[name].arguments["x-single-active-consumer"] is True


def test_every_queue_is_for_work_or_for_parking_or_for_questions() -> None:
    assert QUEUES.keys() == {*WORK_QUEUES, *PARKED, ROUTING_QUERIES}
    questions: Queue = QUEUES[ROUTING_QUERIES]
    assert 0 < questions.arguments["x-message-ttl"] <= 10_000


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=lambda fact: fact.type)
def test_somebody_besides_audit_wants_each_fact(fact: type[Fact]) -> None:
    wanted = takers(fact) - {"audit.log"}
    excused = fact.routing_key in {**AUDIT_ONLY, **SENT_DIRECTLY, **PULLED}
    assert bool(wanted) != excused, f"{fact.routing_key} is taken by {sorted(wanted)}"


def test_the_excuses_are_for_facts_that_exist() -> None:
    assert {**AUDIT_ONLY, **SENT_DIRECTLY, **PULLED}.keys() <= {
        fact.routing_key for fact in CATALOGUE.values()
    }


def test_audit_takes_everything_said_in_the_open() -> None:
    for fact in CATALOGUE.values():
        assert ("audit.log" in takers(fact)) == (fact.exchange == EVENTS)


@pytest.mark.parametrize("binding", TOPOLOGY.bindings, ids=lambda b: f"{b.source}-{b.key}-{b.destination}")
def test_each_binding_takes_some_fact(binding: Binding) -> None:
    if binding.source != ROUTING_PARTITIONED:
        facts = [fact for fact in CATALOGUE.values() if fact.exchange == binding.source]
        assert any(takes(binding.key, fact.routing_key) for fact in facts)


def test_the_cases_reach_only_the_vault_and_delivery() -> None:
    reached = {b.destination for b in TOPOLOGY.bindings if b.source == CASES}
    assert reached == {"vault.sealed", "delivery.sealed"}
    # and neither queue mixes ciphertext with what is said in the open
    assert {b.source for name in reached for b in bound_to(name)} == {CASES}


def test_nobody_takes_every_letter() -> None:
    assert not [b for b in TOPOLOGY.bindings if b.source == CASES and ("*" in b.key or "#" in b.key)]


def test_ciphertext_travels_on_its_own_exchange_and_nothing_else_does() -> None:
    for fact in CATALOGUE.values():
        assert (fact.exchange == CASES) == (fact.classification == "sealed")


def test_routing_keeps_the_order_of_each_referral() -> None:
    (partitioned,) = [e for e in TOPOLOGY.exchanges if e.name == ROUTING_PARTITIONED]
    assert partitioned.kind == "headers"
    shares = {b.destination: b.arguments for b in TOPOLOGY.bindings if b.source == ROUTING_PARTITIONED}
    # each partition has one queue, whose process sees all of a referral
    assert shares == {
        name: {"x-match": "all", PARTITION_HEADER: str(number)}
        for number, name in enumerate(ROUTING_PARTITIONS)
    }
    # a fact that reached a partition by a second way would overtake those before it
    assert all(
        bound_to(p) == [b for b in bound_to(p) if b.source == ROUTING_PARTITIONED]
        for p in QUEUES
        if p in ROUTING_PARTITIONS
    )


def test_a_partition_is_for_ever_and_there_are_as_many_as_queues() -> None:
    keys = [f"0199c0de-0000-7000-8000-{number:012x}" for number in range(400)]
    spread = Counter(partition_of(key) for key in keys)
    assert set(spread) == set(range(PARTITIONS))
    assert min(spread.values()) > 60
    # Two versions of the software beside each other must agree.
    assert [partition_of(key) for key in keys[:8]] == [0, 2, 0, 2, 1, 3, 1, 3]


def test_what_queues_share_out_goes_its_own_way_for_each_partition() -> None:
    zero, three = "0199c0de-0000-7000-8000-000000000000", "0199c0de-0000-7000-8000-000000000005"
    assert route_for(EVENTS, "referral.submitted", zero) != route_for(EVENTS, "referral.submitted", three)
    # everything else reaches the same queues whatever its key
    assert route_for(EVENTS, "offer.opened", zero) == route_for(EVENTS, "offer.opened", three)
    assert route_for(DIRECT, "referral.submitted", zero) == route_for(DIRECT, "referral.submitted", three)
    assert route_for(EVENTS, "offer.opened", zero) != route_for(EVENTS, "offer.accepted", zero)


def test_every_fact_that_is_shared_out_has_a_way_of_its_own() -> None:
    for binding in TOPOLOGY.bindings:
        if binding.destination == ROUTING_PARTITIONED:
            ways = {route_for(binding.source, binding.key, f"key {number}") for number in range(100)}
            assert len(ways) == PARTITIONS
