"""Descriptions of dead letters, and which of their data an operator may read."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import pytest

from contracts.facts import Fact, ReplicaRequested, SealedCaseSubmitted
from contracts.topology import hub_topology
from runtime.messaging.dead_letters.browsing import Browsed
from runtime.messaging.dead_letters.dead_letter import EXCHANGE, FIRST_SEEN, QUEUE, REASON, ROUTING_KEY
from runtime.messaging.dead_letters.dead_letter_queue import (
    DeadLetters,
    describe,
    open_data,
)
from runtime.messaging.memory import MemoryBroker
from tests.port_contracts.memory_browsers import MemoryBrowsers
from tests.support.events import message_of

SEEN = "2026-03-01T00:00:00+00:00"
HEADERS = {
    REASON: "Defect: It does not add up.",
    FIRST_SEEN: SEEN,
    QUEUE: "letters.1",
    EXCHANGE: "letters.of.post",
    ROUTING_KEY: "letter.posted",
    "partitionkey": "key",
}


def browsed(
    message_id: str = "a", *, number: int = 1, body: bytes = b"{}", headers: Mapping[str, Any] = HEADERS
) -> Browsed:
    return Browsed(number=number, tag=number, message_id=message_id, headers=headers, body=body)


def encoded_event(fact: Fact) -> bytes:
    return message_of(fact, "k", time=dt.datetime(2026, 2, 28, tzinfo=dt.UTC)).encode()


PUBLIC = encoded_event(ReplicaRequested(queue="somebody.directory"))
SEALED = encoded_event(
    SealedCaseSubmitted(
        referral_id="r", sender="kg.a", to=None, case="eyJhbGciOi.ciphertext.iv.ciphertext.tag"
    )
)


def test_dead_letter_consumers_match_the_topology() -> None:
    broker = MemoryBroker()
    letters = DeadLetters(
        browse=MemoryBrowsers(broker), publisher=broker.publisher(), topology=hub_topology()
    )
    assert {"routing", "audit.log", "vault.sealed"} <= set(letters.consumers)
    # a partition is not a consumer, and queries are never dead-lettered
    assert {"routing.0", "routing.queries"}.isdisjoint(letters.consumers)


def test_dead_letter_is_described_by_headers_and_envelope() -> None:
    letter = describe("letters", browsed(body=PUBLIC, number=7))
    assert (letter.number, letter.message_id, letter.partition_key) == (7, "a", "key")
    assert (letter.reason, letter.first_seen) == ("Defect: It does not add up.", SEEN)
    assert (letter.origin, letter.size) == ("letters.1", len(PUBLIC))
    assert letter.exchange == "letters.of.post"
    (event,) = letter.events
    assert event is not None
    assert (event.type, event.time.isoformat()) == (
        "kopuro.replica.requested.v1",
        "2026-02-28T00:00:00+00:00",
    )


def test_broker_dead_letter_is_described_by_its_latest_death() -> None:
    death = {"reason": "delivery_limit", "queue": "letters.0", "time": dt.datetime(2026, 3, 1)}  # noqa: DTZ001 - py-amqp's
    headers = {"partitionkey": "key", "x-death": [death, {"reason": "expired", "queue": "elsewhere"}]}
    letter = describe("letters", browsed(headers=headers))
    assert letter.reason == "dead-lettered by the broker: delivery_limit"
    assert (letter.origin, letter.first_seen) == ("letters.0", SEEN)


def test_broker_dead_lettered_batch_is_described_per_event() -> None:
    body = b"[\n" + b",\n".join((PUBLIC, SEALED, b"{}")) + b"\n]"
    message = browsed(body=body, headers={"x-death": [{"reason": "delivery_limit", "queue": "letters.0"}]})
    letter = describe("letters", message)
    assert [event and (event.type, event.partition_key) for event in letter.events] == [
        ("kopuro.replica.requested.v1", "k"),
        ("kopuro.sealed_case.submitted.v1", "k"),
        None,
    ]


def test_exchange_of_a_broker_dead_letter_is_the_brokers_word_and_not_its_authors() -> None:
    death = {"reason": "delivery_limit", "queue": "letters.0", "exchange": "letters.of.thief"}
    message = browsed(headers={**HEADERS, "x-death": [death]})
    assert describe("letters", message).exchange == "letters.of.thief"
    del death["exchange"]
    assert describe("letters", message).exchange is None


def test_broker_dead_letter_keeps_its_first_seen_time() -> None:
    death = {"reason": "delivery_limit", "queue": "letters.0", "time": dt.datetime(2027, 1, 1)}  # noqa: DTZ001 - py-amqp's
    letter = describe("letters", browsed(headers={FIRST_SEEN: SEEN, "x-death": [death]}))
    assert (letter.first_seen, letter.origin) == (SEEN, "letters.0")


@pytest.mark.parametrize("headers", [{}, {"x-death": []}, {"x-death": "torn"}, {"x-death": ["torn"]}])
@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}"])
def test_dead_letter_with_odd_headers_is_described(headers: Mapping[str, Any], body: bytes) -> None:
    letter = describe("letters", browsed("", headers=headers, body=body))
    assert (letter.origin, letter.first_seen, letter.events) == (None, None, (None,))


def test_open_shows_only_open_data() -> None:
    assert open_data(PUBLIC) == {"queue": "somebody.directory"}
    assert open_data(SEALED) is None
    assert open_data(b"\xff") is None


@pytest.mark.parametrize(
    ("type_", "stated", "shown"),
    [
        # an unknown type is classified by its own attribute
        ("kopuro.star.seen.v9", "public", True),
        ("kopuro.star.seen.v9", "sealed", False),
        ("kopuro.star.seen.v9", None, False),
        ("kopuro.star.seen.v9", ["public"], False),
        # a known type needs both classifications
        ("kopuro.replica.requested.v1", None, True),
        ("kopuro.replica.requested.v1", "sealed", False),
        ("kopuro.sealed_case.submitted.v1", "public", False),
    ],
)
def test_open_hides_data_classified_as_sealed(type_: str, stated: object, shown: bool) -> None:
    event = {**json.loads(PUBLIC), "type": type_, "dataclassification": stated}
    assert (open_data(json.dumps(event).encode()) is not None) == shown
