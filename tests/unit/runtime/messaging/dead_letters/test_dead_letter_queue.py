"""Dead letters, with queues that are lists: what is said of them, and what happens in which order."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import Fact, ReplicaRequested, SealedCaseSubmitted
from contracts.topology import Topology, dead_letter_queue, hub_topology, work_queue
from runtime.messaging.dead_letters.browsing import Browsed
from runtime.messaging.dead_letters.dead_letter import FIRST_SEEN, QUEUE, REASON, ROUTING_KEY
from runtime.messaging.dead_letters.dead_letter_queue import (
    WAVE,
    WAVE_BYTES,
    DeadLetters,
    describe,
    open_data,
)
from runtime.messaging.ports import BrokerUnavailable, Outgoing, PublishIncomplete

TOPOLOGY = Topology(
    exchanges=(),
    queues=(
        work_queue("letters.0", "letters"),
        work_queue("letters.1", "letters"),
        dead_letter_queue("letters"),
    ),
    bindings=(),
)
SEEN = "2026-03-01T00:00:00+00:00"
HEADERS = {
    REASON: "Defect: It does not add up.",
    FIRST_SEEN: SEEN,
    QUEUE: "letters.1",
    ROUTING_KEY: "letter.posted",
    "partitionkey": "key",
}


def browsed(
    message_id: str = "a", *, number: int = 1, body: bytes = b"{}", headers: Mapping[str, Any] = HEADERS
) -> Browsed:
    return Browsed(number=number, tag=number, message_id=message_id, headers=headers, body=body)


def in_event(fact: Fact) -> bytes:
    return Event(
        id="0199a0de-0000-7000-8000-000000000001",
        source="/kg/intake",
        time=dt.datetime(2026, 2, 28, tzinfo=dt.UTC),
        partition_key="k",
        correlation_id="c",
        causation_id=None,
        data=fact,
    ).encode()


PUBLIC = in_event(ReplicaRequested(queue="somebody.directory"))
SEALED = in_event(
    SealedCaseSubmitted(
        referral_id="r", sender="kg.a", to=None, case="eyJhbGciOi.ciphertext.iv.ciphertext.tag"
    )
)


@dataclass
class Counter:
    """A broker of lists: a parking queue, the queues that letters come from, and the order of events."""

    parked: list[tuple[str, bytes, Mapping[str, Any]]]
    queues: dict[str, list[Outgoing]] = field(default_factory=lambda: {"letters.0": [], "letters.1": []})
    events: list[str] = field(default_factory=list)
    # What a publisher does once so many messages are in their queues.
    failure: Exception | None = None
    fails_after: int = 0

    def letters(self) -> DeadLetters:
        return DeadLetters(browse=self.browse, publisher=self, topology=TOPOLOGY)

    @contextmanager
    def browse(self, queue: str) -> Iterator[Look]:
        assert queue == "letters.parked"
        look = Look(self)
        try:
            yield look
        finally:
            self.parked = [entry for n, entry in enumerate(self.parked, 1) if n not in look.removed]

    def publish(self, messages: Sequence[Outgoing]) -> None:
        for number, message in enumerate(messages):
            if self.failure is not None and number == self.fails_after:
                raise self.failure
            if message.routing_key not in self.queues:
                raise PublishIncomplete(number, "no queue", unroutable=message.routing_key)
            self.queues[message.routing_key].append(message)
        self.events.append(f"published {len(messages)}")
        if self.failure is not None:
            raise self.failure

    def tend(self) -> None: ...

    def close(self) -> None: ...

    def ids(self) -> list[str]:
        return [message_id for message_id, _, _ in self.parked]

    def back(self, queue: str = "letters.1") -> list[str]:
        return [message.message_id for message in self.queues[queue]]


@dataclass
class Look:
    counter: Counter
    removed: set[int] = field(default_factory=set)

    def messages(self) -> Iterator[Browsed]:
        for number, (message_id, body, headers) in enumerate(list(self.counter.parked), 1):
            yield browsed(message_id, number=number, body=body, headers=headers)

    def remove(self, messages: Sequence[Browsed]) -> None:
        self.counter.events.append(f"removed {len(messages)}")
        self.removed |= {message.number for message in messages}


def holding(*ids: str) -> Counter:
    return Counter([(id_, id_.encode(), HEADERS) for id_ in ids])


def test_every_consumer_that_can_park_is_known() -> None:
    letters = DeadLetters(browse=holding().browse, publisher=holding(), topology=hub_topology())
    assert {"routing", "audit.log", "vault.sealed"} <= set(letters.consumers)
    # a partition is not a consumer, and questions are never parked
    assert {"routing.0", "routing.queries"}.isdisjoint(letters.consumers)


def test_a_letter_is_described_by_the_headers_of_its_parking_and_its_envelope() -> None:
    letter = describe("letters", browsed(body=PUBLIC, number=7))
    assert (letter.number, letter.message_id, letter.partition_key) == (7, "a", "key")
    assert (letter.reason, letter.first_seen) == ("Defect: It does not add up.", SEEN)
    assert (letter.origin, letter.size) == ("letters.1", len(PUBLIC))
    (event,) = letter.events
    assert event is not None
    assert (event.type, event.time.isoformat()) == (
        "kopuro.replica.requested.v1",
        "2026-02-28T00:00:00+00:00",
    )


def test_a_letter_that_the_broker_gave_up_is_described_by_its_latest_death() -> None:
    death = {"reason": "delivery_limit", "queue": "letters.0", "time": dt.datetime(2026, 3, 1)}  # noqa: DTZ001 - py-amqp's
    headers = {"partitionkey": "key", "x-death": [death, {"reason": "expired", "queue": "elsewhere"}]}
    letter = describe("letters", browsed(headers=headers))
    assert letter.reason == "dead-lettered by the broker: delivery_limit"
    assert (letter.origin, letter.first_seen) == ("letters.0", SEEN)


def test_a_parcel_that_the_broker_gave_up_is_described_and_opened_event_by_event() -> None:
    body = b"[\n" + b",\n".join((PUBLIC, SEALED, b"{}")) + b"\n]"
    counter = Counter([("a", body, {"x-death": [{"reason": "delivery_limit", "queue": "letters.0"}]})])
    opened = counter.letters().open("letters", "a")
    assert [event and (event.type, event.partition_key) for event in opened.letter.events] == [
        ("kopuro.replica.requested.v1", "k"),
        ("kopuro.sealed_case.submitted.v1", "k"),
        None,
    ]
    assert opened.data == ({"queue": "somebody.directory"}, None, None)


def test_what_was_first_seen_earlier_and_then_given_up_by_the_broker_keeps_its_time() -> None:
    death = {"reason": "delivery_limit", "queue": "letters.0", "time": dt.datetime(2027, 1, 1)}  # noqa: DTZ001 - py-amqp's
    letter = describe("letters", browsed(headers={FIRST_SEEN: SEEN, "x-death": [death]}))
    assert (letter.first_seen, letter.origin) == (SEEN, "letters.0")


@pytest.mark.parametrize("headers", [{}, {"x-death": []}, {"x-death": "torn"}, {"x-death": ["torn"]}])
@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}"])
def test_nothing_is_too_odd_to_be_described(headers: Mapping[str, Any], body: bytes) -> None:
    letter = describe("letters", browsed("", headers=headers, body=body))
    assert (letter.origin, letter.first_seen, letter.events) == (None, None, (None,))


def test_only_what_is_called_open_is_shown() -> None:
    assert open_data(PUBLIC) == {"queue": "somebody.directory"}
    assert open_data(SEALED) is None
    assert open_data(b"\xff") is None


@pytest.mark.parametrize(
    ("type_", "stated", "shown"),
    [
        # a newer hub's type counts by what the message says of itself
        ("kopuro.star.seen.v9", "public", True),
        ("kopuro.star.seen.v9", "sealed", False),
        ("kopuro.star.seen.v9", None, False),
        ("kopuro.star.seen.v9", ["public"], False),
        # a known one needs both
        ("kopuro.replica.requested.v1", None, True),
        ("kopuro.replica.requested.v1", "sealed", False),
        ("kopuro.sealed_case.submitted.v1", "public", False),
    ],
)
def test_what_the_catalogue_or_the_message_calls_sealed_is_not_shown(
    type_: str, stated: object, shown: bool
) -> None:
    event = {**json.loads(PUBLIC), "type": type_, "dataclassification": stated}
    assert (open_data(json.dumps(event).encode()) is not None) == shown


def test_listing_and_opening_change_nothing() -> None:
    counter = holding("a", "b", "c")
    assert [letter.message_id for letter in counter.letters().of("letters")] == ["a", "b", "c"]
    assert counter.letters().open("letters", "b").letter.number == 2
    assert counter.ids() == ["a", "b", "c"]
    assert counter.events == []


def test_a_letter_is_in_its_queue_before_it_is_removed_and_the_others_stay() -> None:
    counter = holding("a", "b", "c")
    (letter,) = counter.letters().replay("letters", "b")
    assert letter.message_id == "b"
    assert counter.events == ["published 1", "removed 1"]
    assert counter.ids() == ["a", "c"]
    (back,) = counter.queues["letters.1"]
    assert (back.exchange, back.message_id, back.partition_key, back.body) == ("", "b", "key", b"b")
    assert back.headers == {FIRST_SEEN: SEEN}, "a later parking keeps the first time, and says its own reason"
    assert not back.transient


@pytest.mark.parametrize("act", ["open", "replay", "discard"])
def test_an_id_that_is_not_there_is_refused(act: str) -> None:
    counter = holding("a")
    with pytest.raises(Refused, match=r"letters\.parked contains no message b"):
        getattr(counter.letters(), act)("letters", "b")
    assert counter.ids() == ["a"]
    assert counter.events == []


def test_an_unknown_consumer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refused, match="There are letters"):
        list(holding().letters().of("letters.1"))


def test_copies_of_one_letter_go_together() -> None:
    counter = holding("a", "b", "a")
    assert len(counter.letters().replay("letters", "a")) == 2
    assert counter.ids() == ["b"]
    assert counter.back() == ["a", "a"]


@pytest.mark.parametrize("act", ["open", "replay", "discard"])
def test_different_letters_of_one_id_are_told_apart_by_number(act: str) -> None:
    counter = Counter([("unknown", b"\xff1", HEADERS), ("b", b"", HEADERS), ("unknown", b"\xff2", HEADERS)])
    with pytest.raises(Refused, match=r"which number \(1, 3\)"):
        getattr(counter.letters(), act)("letters", "unknown")
    with pytest.raises(Refused, match="Number 2 in"):
        getattr(counter.letters(), act)("letters", "unknown", number=2)
    assert len(counter.parked) == 3
    getattr(counter.letters(), act)("letters", "unknown", number=3)
    left = [body for _, body, _ in counter.parked]
    assert left == ([b"\xff1", b"", b"\xff2"] if act == "open" else [b"\xff1", b""])


def test_all_go_back_in_their_order_in_waves() -> None:
    ids = [str(number) for number in range(WAVE + 1)]
    counter = holding(*ids)
    assert [letter.message_id for letter in counter.letters().replay_all("letters")] == ids
    assert counter.back() == ids
    assert counter.parked == []
    assert counter.events == [f"published {WAVE}", f"removed {WAVE}", "published 1", "removed 1"]


def test_large_letters_go_back_in_smaller_waves() -> None:
    half = bytes(WAVE_BYTES // 2)
    counter = Counter([(id_, half, HEADERS) for id_ in "abc"])
    assert [letter.message_id for letter in counter.letters().replay_all("letters")] == ["a", "b", "c"]
    assert counter.events == ["published 2", "removed 2", "published 1", "removed 1"]


def test_all_of_one_reason_leave_the_others_in_their_order() -> None:
    other = {**HEADERS, REASON: "ValueError at services/x.py:1", QUEUE: "letters.0"}
    counter = Counter([(id_, b"", other if id_ in "bd" else HEADERS) for id_ in "abcde"])
    replayed = counter.letters().replay_all("letters", reason_contains="x.py")
    assert [letter.message_id for letter in replayed] == ["b", "d"]
    assert counter.back("letters.0") == ["b", "d"]
    assert counter.ids() == ["a", "c", "e"]


def test_killed_between_confirming_and_removing_the_letter_is_in_both_places() -> None:
    counter = holding("a", "b")
    counter.failure, counter.fails_after = Killed(), 99
    with pytest.raises(Killed):
        counter.letters().replay("letters", "a")
    assert counter.back() == ["a"]
    assert counter.ids() == ["a", "b"]


class Killed(Exception):
    """Ends the work from outside."""


def test_without_a_broker_to_publish_to_nothing_is_removed() -> None:
    counter = holding("a")
    counter.failure = BrokerUnavailable("gone")
    with pytest.raises(BrokerUnavailable):
        counter.letters().replay("letters", "a")
    assert counter.ids() == ["a"]


def test_only_what_was_confirmed_is_removed() -> None:
    counter = holding("a", "b", "c")
    counter.failure, counter.fails_after = PublishIncomplete(1, "the connection broke"), 2
    replayed = []
    with pytest.raises(PublishIncomplete):
        for letter in counter.letters().replay_all("letters"):
            replayed.append(letter.message_id)
    assert replayed == ["a"]
    assert counter.back() == ["a", "b"], "b arrived, which nobody knows"
    assert counter.ids() == ["b", "c"]


@pytest.mark.parametrize(
    ("headers", "why"),
    [({QUEUE: "letters.9"}, r"its queue letters\.9 does not exist"), ({}, "its original queue is unknown")],
)
def test_a_letter_without_a_queue_to_go_to_stays_and_is_named(headers: Mapping[str, Any], why: str) -> None:
    counter = Counter([("a", b"", HEADERS), ("b", b"", headers), ("c", b"", HEADERS)])
    with pytest.raises(Refused, match=rf"b stays in letters\.parked: {why}"):
        list(counter.letters().replay_all("letters"))
    assert counter.back() == ["a"]
    assert counter.ids() == ["b", "c"]


def test_a_discarded_letter_is_gone_and_the_others_stay() -> None:
    counter = holding("a", "b", "c")
    (gone,) = counter.letters().discard("letters", "b")
    assert gone.message_id == "b"
    assert counter.ids() == ["a", "c"]
    assert counter.back() == []


def test_another_letter_in_the_place_of_the_one_looked_at_is_not_discarded() -> None:
    counter = Counter([("unknown", b"one", HEADERS)])
    looked_at = counter.letters().open("letters", "unknown", number=1)
    counter.parked = [("unknown", b"another", HEADERS)]
    with pytest.raises(Refused, match="is not the message that was inspected"):
        counter.letters().discard("letters", "unknown", number=1, digest=looked_at.digest)
    assert counter.ids() == ["unknown"]
