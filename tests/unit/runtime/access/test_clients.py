"""The replica of the clients: the wait for a newer one, and which changes refuse tokens."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from contracts.facts import ClientChanged
from contracts.records import plain
from runtime.access.clients import RegisteredClient, ReplicatedClients
from runtime.messaging.replica import ReplicaRecord

LONG = 30.0
FACT = ClientChanged(revision=1, client_id="desk", principal="kg.osh", roles=("partner",), live=True)


def test_client_that_arrives_in_time_is_found() -> None:
    clients = ReplicatedClients(patience=LONG)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(clients, "desk")
        clients.absorb([ReplicaRecord(type=FACT.type, key="desk", change=1, data=plain(FACT))])
        assert found.result(LONG) == RegisteredClient(
            principal="kg.osh", roles=frozenset({"partner"}), live=True
        )


def test_client_that_does_not_arrive_is_awaited_once() -> None:
    clients = ReplicatedClients(patience=0.2)
    begun = time.monotonic()
    assert clients("desk") is None
    assert time.monotonic() - begun >= 0.2
    with ThreadPoolExecutor(1) as pool:
        # The patience of the next call would outlast the test.
        clients.patience = LONG
        assert pool.submit(clients, "desk").result(LONG / 2) is None
    clients.absorb([ReplicaRecord(type=FACT.type, key="desk", change=1, data=plain(FACT))])
    assert clients("desk") is not None


def test_removed_key_is_known_and_counts_as_a_refusal_of_tokens() -> None:
    clients = ReplicatedClients(patience=0)
    changes = [FACT, replace(FACT, revision=2, ended_keys=("removed",)), replace(FACT, revision=3)]
    narrowed = [
        clients.absorb([ReplicaRecord(type=FACT.type, key="desk", change=number, data=plain(fact))])
        for number, fact in enumerate(changes)
    ]
    assert narrowed == [False, True, False]
