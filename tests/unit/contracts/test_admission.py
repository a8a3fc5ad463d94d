"""The facts that each queue admits."""

from __future__ import annotations

import pytest

from contracts.topology import CASE_QUEUES, EVENT_QUEUES, OWNERS, admitted_facts, hub_topology, topic_matches

SEALED = {key for keys in CASE_QUEUES.values() for key in keys}


@pytest.mark.parametrize("queue", [*EVENT_QUEUES, "routing.0", "routing.3", "audit.receipts"])
def test_no_queue_of_events_admits_sealed_content(queue: str) -> None:
    admitted = admitted_facts(queue)
    assert admitted
    assert not admitted & SEALED


def test_log_admits_every_other_fact() -> None:
    assert admitted_facts("audit.log") == frozenset(OWNERS.keys() - SEALED)


def test_queues_of_sealed_content_admit_nothing_else() -> None:
    assert {key for queue in CASE_QUEUES for key in admitted_facts(queue) or ()} == SEALED


@pytest.mark.parametrize("queue", [*EVENT_QUEUES, *CASE_QUEUES])
def test_queue_admits_the_facts_that_are_bound_to_it(queue: str) -> None:
    bound = {
        key
        for binding in hub_topology().bindings
        if binding.destination == queue and binding.key != queue
        for key, owners in OWNERS.items()
        if topic_matches(binding.key, key) and binding.source.rpartition(".")[2] in owners
    }
    if queue in EVENT_QUEUES:
        bound -= SEALED
    assert bound <= (admitted_facts(queue) or frozenset())


def test_foreign_queue_has_no_list() -> None:
    assert admitted_facts("letters.1") is None
