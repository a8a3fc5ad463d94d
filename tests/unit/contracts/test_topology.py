from __future__ import annotations

import re
from collections import Counter

import pytest

from contracts.facts import CATALOGUE, Fact
from contracts.topology import (
    CASES,
    DIRECT,
    EVENTS,
    LOG,
    LOG_QUEUE,
    MAILBOXES,
    PARTITION_HEADER,
    PARTITIONS,
    RECEIPT_QUEUES,
    RECEIPTS,
    ROUTING_PARTITIONED,
    ROUTING_PARTITIONS,
    ROUTING_QUERIES,
    SERVICES,
    Binding,
    Queue,
    hub_topology,
    owners_of,
    partition_of,
    published_to,
    route_for,
    topic_matches,
)

TOPOLOGY = hub_topology()
QUEUES = {queue.name: queue for queue in TOPOLOGY.queues}
WORK_QUEUES = sorted(q.name for q in TOPOLOGY.queues if "x-dead-letter-exchange" in q.arguments)
DEAD_LETTERS = {str(QUEUES[name].arguments["x-dead-letter-routing-key"]) for name in WORK_QUEUES}

# Facts that no service consumes, with the reason why they are published.
AUDIT_ONLY = {
    "note.submitted": "the note itself goes to the vault, sealed; this says that one was passed on",
    "case.released": "the case itself goes to delivery, sealed; this says that it was released",
    "case.erased": "nothing follows from it; the record must show that it was done",
    "transit_key.destroyed": "nothing follows from it; the record must show that copies cannot be opened",
    "delivery.delivered": "routing counts from the deadline, not from the delivery",
    "delivery.acknowledged": "an acknowledgement is not an answer",
    "referral.read": "nothing follows from it; the record must show who looked",
    "case.fetched": "nothing follows from it; the record must show that the case was fetched",
    "dead_letter.read": "nothing follows from it; the record must show who looked",
    "history.read": "nothing follows from it; the record must show who looked",
    "history.exported": "nothing follows from it; the record must show who took it away",
    "content.erased": "nothing follows from it; the record must show why content is missing",
    "decisions.recorded": "it exists only to commit to decisions in the log",
    "routing_policy.applied": "routing reads its own table; the record must show who applied which policy",
    "access.refused": "nothing follows from it; the record must show that somebody tries",
    "role.granted": "client.changed carries the effect; the record must show who decided",
    "employer.reported": "the report itself goes to delivery, sealed; this says that there is one",
    "log.exported": "nothing follows from it; the record must show who took how much away",
}
# Facts sent to one queue by name, never through the exchange.
SENT_DIRECTLY = {
    "replica.completed": "the answer goes to the queue that `replica.requested` names",
    "receipts.issued": "delivery puts it into a mailbox; in the log a receipt would need a receipt",
    "events.logged": "it tells one service what the log has; in the log it would need a receipt itself",
    "receipt.issued": "delivery puts it into a mailbox; in the log a receipt would need a receipt",
}
# Facts written to a mailbox and never published.
PULLED = {
    "employer_report.delivered": "delivery makes it in the mailbox, from the report that the directory sent",
    "note.delivered": "delivery makes it in the receiver's mailbox, from the letter that the vault sent",
    "submission.admitted": "delivery makes it in the mailbox, from what intake answered the gateway",
    "alerts.counted": "delivery makes it in the coordinators' mailbox",
    "message.closed": "delivery returns it instead of a message whose content it has erased",
}


def takes(pattern: str, key: str) -> bool:
    """Return whether a topic pattern matches (AMQP 0-9-1 §3.1.3.3: `*` one word, `#` any number)."""
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(r"\#", ".*")
    return re.fullmatch(expression, key) is not None


def receivers(fact: type[Fact]) -> set[str]:
    """Return the queues and exchanges that receive the fact from its exchange."""
    sources = {published_to(fact.exchange, fact.routing_key, owner) for owner in owners_of(fact.routing_key)}
    return {
        b.destination for b in TOPOLOGY.bindings if b.source in sources and takes(b.key, fact.routing_key)
    }


def logical(exchange: str) -> str:
    """Return the exchange of the catalogue that a service's own exchange stands for."""
    return next((name for name in (EVENTS, CASES) if exchange.startswith(name + ".")), exchange)


def bound_to(destination: str) -> list[Binding]:
    """Return the bindings that bring facts, not those that address the queue by its name."""
    return [b for b in TOPOLOGY.bindings if b.destination == destination and b.key != b.destination]


def test_topology_names_are_unique_and_bindings_declared() -> None:
    exchanges = {exchange.name for exchange in TOPOLOGY.exchanges}
    assert len(QUEUES) == len(TOPOLOGY.queues)
    assert len(exchanges) == len(TOPOLOGY.exchanges)
    assert len(set(TOPOLOGY.bindings)) == len(TOPOLOGY.bindings)
    for binding in TOPOLOGY.bindings:
        assert binding.source in exchanges
        assert binding.destination in (exchanges if binding.to_exchange else QUEUES)


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_every_work_queue_has_bindings_and_a_dead_letter_queue(name: str) -> None:
    arguments = QUEUES[name].arguments
    assert bound_to(name) or name in RECEIPT_QUEUES.values()
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-dead-letter-exchange"] == DIRECT
    parked = QUEUES[arguments["x-dead-letter-routing-key"]]
    assert parked.arguments["x-queue-type"] == "quorum"
    # browsing counts as a delivery, and a dead-letter queue has no dead-letter exchange
    assert parked.arguments["x-delivery-limit"] >= 1_000_000
    assert not bound_to(parked.name)


def test_receipts_reach_their_author_and_offers_the_log_alone() -> None:
    addressed = {(b.source, b.destination) for b in TOPOLOGY.bindings if b.source in (RECEIPTS, LOG)}
    authors = {(RECEIPTS, f"{service}.receipts") for service in SERVICES}
    assert addressed == {*authors, (RECEIPTS, MAILBOXES), (LOG, LOG_QUEUE)}


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_work_queue_dead_letters_at_least_once(name: str) -> None:
    arguments = QUEUES[name].arguments
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    # without it the broker silently falls back to at-most-once
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-delivery-limit"] > 0


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_work_queue_has_a_single_active_consumer(name: str) -> None:
    assert QUEUES[name].arguments["x-single-active-consumer"] is True


def test_every_queue_is_a_work_dead_letter_or_query_queue() -> None:
    assert QUEUES.keys() == {*WORK_QUEUES, *DEAD_LETTERS, ROUTING_QUERIES}
    queries: Queue = QUEUES[ROUTING_QUERIES]
    assert 0 < queries.arguments["x-message-ttl"] <= 10_000


@pytest.mark.parametrize("fact", CATALOGUE.values(), ids=lambda fact: fact.type)
def test_every_fact_has_a_consumer_besides_audit(fact: type[Fact]) -> None:
    wanted = receivers(fact) - {"audit.log"}
    excused = fact.routing_key in {**AUDIT_ONLY, **SENT_DIRECTLY, **PULLED}
    assert bool(wanted) != excused, f"{fact.routing_key} is consumed by {sorted(wanted)}"


def test_exceptions_name_existing_facts() -> None:
    assert {**AUDIT_ONLY, **SENT_DIRECTLY, **PULLED}.keys() <= {
        fact.routing_key for fact in CATALOGUE.values()
    }


def test_audit_receives_every_open_fact() -> None:
    for fact in CATALOGUE.values():
        assert ("audit.log" in receivers(fact)) == (fact.exchange == EVENTS)


@pytest.mark.parametrize("binding", TOPOLOGY.bindings, ids=lambda b: f"{b.source}-{b.key}-{b.destination}")
def test_every_binding_matches_a_fact(binding: Binding) -> None:
    if logical(binding.source) in (EVENTS, CASES):
        service = binding.source.rpartition(".")[2]
        facts = [fact for fact in CATALOGUE.values() if fact.exchange == logical(binding.source)]
        owned = [fact for fact in facts if service in owners_of(fact.routing_key)]
        assert any(takes(binding.key, fact.routing_key) for fact in owned)
    elif binding.source != ROUTING_PARTITIONED:
        assert binding.key == binding.destination


def test_sealed_messages_reach_only_vault_and_delivery() -> None:
    reached = {b.destination for b in TOPOLOGY.bindings if logical(b.source) == CASES}
    assert reached == {"vault.sealed", "delivery.sealed"}
    # and neither queue mixes ciphertext with open facts
    assert {logical(b.source) for name in reached for b in bound_to(name)} == {CASES}


def test_no_queue_receives_every_sealed_message() -> None:
    assert not [b for b in TOPOLOGY.bindings if logical(b.source) == CASES and ("*" in b.key or "#" in b.key)]


def test_case_exchange_carries_exactly_the_sealed_facts() -> None:
    for fact in CATALOGUE.values():
        assert (fact.exchange == CASES) == (fact.classification == "sealed")


def test_routing_partitions_keep_each_referrals_order() -> None:
    (partitioned,) = [e for e in TOPOLOGY.exchanges if e.name == ROUTING_PARTITIONED]
    assert partitioned.kind == "headers"
    shares = {b.destination: b.arguments for b in TOPOLOGY.bindings if b.source == ROUTING_PARTITIONED}
    # each partition has one queue, whose consumer sees all facts of a referral
    assert shares == {
        name: {"x-match": "all", PARTITION_HEADER: str(number)}
        for number, name in enumerate(ROUTING_PARTITIONS)
    }
    # a fact with a second route to a partition could overtake earlier ones
    assert all(
        bound_to(p) == [b for b in bound_to(p) if b.source == ROUTING_PARTITIONED]
        for p in QUEUES
        if p in ROUTING_PARTITIONS
    )


def test_partition_of_key_is_stable_and_has_a_queue() -> None:
    keys = [f"0199c0de-0000-7000-8000-{number:012x}" for number in range(400)]
    spread = Counter(partition_of(key) for key in keys)
    assert set(spread) == set(range(PARTITIONS))
    assert min(spread.values()) > 60
    # Two versions of the software that run side by side must agree.
    assert [partition_of(key) for key in keys[:8]] == [0, 2, 0, 2, 1, 3, 1, 3]


def test_partitioned_fact_has_one_route_per_partition() -> None:
    zero, three = "0199c0de-0000-7000-8000-000000000000", "0199c0de-0000-7000-8000-000000000005"
    assert route_for(EVENTS, "referral.submitted", zero) != route_for(EVENTS, "referral.submitted", three)
    # all other facts reach the same queues whatever their key
    assert route_for(EVENTS, "offer.opened", zero) == route_for(EVENTS, "offer.opened", three)
    assert route_for(DIRECT, "referral.submitted", zero) == route_for(DIRECT, "referral.submitted", three)
    assert route_for(EVENTS, "offer.opened", zero) != route_for(EVENTS, "offer.accepted", zero)


def test_every_partitioned_fact_has_its_own_route() -> None:
    for binding in TOPOLOGY.bindings:
        if binding.destination == ROUTING_PARTITIONED:
            ways = {route_for(logical(binding.source), binding.key, f"key {number}") for number in range(100)}
            assert len(ways) == PARTITIONS


@pytest.mark.parametrize(
    ("binding", "key", "expected"),
    [
        ("offer.*", "offer.opened", True),
        ("offer.*", "offer.opened.twice", False),
        ("offer.*", "offers.opened", False),
        ("#", "anything.at_all", True),
        ("referral.completed", "referral.completed", True),
        ("referral.completed", "referralxcompleted", False),
    ],
)
def test_topic_pattern_matches_routing_key_word_by_word(binding: str, key: str, expected: bool) -> None:
    assert topic_matches(binding, key) is expected
