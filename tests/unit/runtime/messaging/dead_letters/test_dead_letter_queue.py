"""Dead-letter queues on a fake broker: descriptions, and the order of effects."""

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
from contracts.topology import REPLAYS, Topology, dead_letter_queue, hub_topology, work_queue
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


def encoded_event(fact: Fact) -> bytes:
    return Event(
        id="0199a0de-0000-7000-8000-000000000001",
        source="/kg/intake",
        time=dt.datetime(2026, 2, 28, tzinfo=dt.UTC),
        partition_key="k",
        correlation_id="c",
        causation_id=None,
        data=fact,
    ).encode()


PUBLIC = encoded_event(ReplicaRequested(queue="somebody.directory"))
SEALED = encoded_event(
    SealedCaseSubmitted(
        referral_id="r", sender="kg.a", to=None, case="eyJhbGciOi.ciphertext.iv.ciphertext.tag"
    )
)


@dataclass
class FakeBroker:
    """A broker of lists: a dead-letter queue, the original queues, and the order of events."""

    parked: list[tuple[str, bytes, Mapping[str, Any]]]
    queues: dict[str, list[Outgoing]] = field(default_factory=lambda: {"letters.0": [], "letters.1": []})
    events: list[str] = field(default_factory=list)
    # Raised by `publish` after `fails_after` messages.
    failure: Exception | None = None
    fails_after: int = 0

    def dead_letters(self) -> DeadLetters:
        return DeadLetters(browse=self.browse, publisher=self, topology=TOPOLOGY)

    @contextmanager
    def browse(self, queue: str) -> Iterator[FakeBrowser]:
        assert queue == "letters.parked"
        browser = FakeBrowser(self)
        try:
            yield browser
        finally:
            self.parked = [entry for n, entry in enumerate(self.parked, 1) if n not in browser.removed]

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

    def replayed(self, queue: str = "letters.1") -> list[str]:
        return [message.message_id for message in self.queues[queue]]


@dataclass
class FakeBrowser:
    broker: FakeBroker
    removed: set[int] = field(default_factory=set)

    def messages(self) -> Iterator[Browsed]:
        for number, (message_id, body, headers) in enumerate(list(self.broker.parked), 1):
            yield browsed(message_id, number=number, body=body, headers=headers)

    def remove(self, messages: Sequence[Browsed]) -> None:
        self.broker.events.append(f"removed {len(messages)}")
        self.removed |= {message.number for message in messages}


def broker_with(*ids: str) -> FakeBroker:
    return FakeBroker([(id_, id_.encode(), HEADERS) for id_ in ids])


def test_dead_letter_consumers_match_the_topology() -> None:
    letters = DeadLetters(browse=broker_with().browse, publisher=broker_with(), topology=hub_topology())
    assert {"routing", "audit.log", "vault.sealed"} <= set(letters.consumers)
    # a partition is not a consumer, and queries are never dead-lettered
    assert {"routing.0", "routing.queries"}.isdisjoint(letters.consumers)


def test_dead_letter_is_described_by_headers_and_envelope() -> None:
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


def test_broker_dead_letter_is_described_by_its_latest_death() -> None:
    death = {"reason": "delivery_limit", "queue": "letters.0", "time": dt.datetime(2026, 3, 1)}  # noqa: DTZ001 - py-amqp's
    headers = {"partitionkey": "key", "x-death": [death, {"reason": "expired", "queue": "elsewhere"}]}
    letter = describe("letters", browsed(headers=headers))
    assert letter.reason == "dead-lettered by the broker: delivery_limit"
    assert (letter.origin, letter.first_seen) == ("letters.0", SEEN)


def test_broker_dead_lettered_batch_is_described_per_event() -> None:
    body = b"[\n" + b",\n".join((PUBLIC, SEALED, b"{}")) + b"\n]"
    broker = FakeBroker([("a", body, {"x-death": [{"reason": "delivery_limit", "queue": "letters.0"}]})])
    opened = broker.dead_letters().open("letters", "a")
    assert [event and (event.type, event.partition_key) for event in opened.letter.events] == [
        ("kopuro.replica.requested.v1", "k"),
        ("kopuro.sealed_case.submitted.v1", "k"),
        None,
    ]
    assert opened.data == ({"queue": "somebody.directory"}, None, None)


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


def test_list_and_open_do_not_change_the_queue() -> None:
    broker = broker_with("a", "b", "c")
    assert [letter.message_id for letter in broker.dead_letters().of("letters")] == ["a", "b", "c"]
    assert broker.dead_letters().open("letters", "b").letter.number == 2
    assert broker.ids() == ["a", "b", "c"]
    assert broker.events == []


def test_replay_publishes_before_it_removes() -> None:
    broker = broker_with("a", "b", "c")
    (letter,) = broker.dead_letters().replay("letters", "b")
    assert letter.message_id == "b"
    assert broker.events == ["published 1", "removed 1"]
    assert broker.ids() == ["a", "c"]
    (back,) = broker.queues["letters.1"]
    assert (back.exchange, back.message_id, back.partition_key, back.body) == (REPLAYS, "b", "key", b"b")
    assert back.headers == {FIRST_SEEN: SEEN}, "a later parking keeps the first time, and says its own reason"
    assert not back.transient


@pytest.mark.parametrize("act", ["open", "replay", "discard"])
def test_unknown_message_id_is_refused(act: str) -> None:
    broker = broker_with("a")
    with pytest.raises(Refused, match=r"letters\.parked contains no message b"):
        getattr(broker.dead_letters(), act)("letters", "b")
    assert broker.ids() == ["a"]
    assert broker.events == []


def test_unknown_consumer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refused, match="The consumers are letters"):
        list(broker_with().dead_letters().of("letters.1"))


def test_copies_of_a_dead_letter_are_replayed_together() -> None:
    broker = broker_with("a", "b", "a")
    assert len(broker.dead_letters().replay("letters", "a")) == 2
    assert broker.ids() == ["b"]
    assert broker.replayed() == ["a", "a"]


@pytest.mark.parametrize("act", ["open", "replay", "discard"])
def test_different_dead_letters_with_one_id_need_a_number(act: str) -> None:
    broker = FakeBroker([("unknown", b"\xff1", HEADERS), ("b", b"", HEADERS), ("unknown", b"\xff2", HEADERS)])
    with pytest.raises(Refused, match=r"choose a number \(1, 3\)"):
        getattr(broker.dead_letters(), act)("letters", "unknown")
    with pytest.raises(Refused, match="Message number 2 in"):
        getattr(broker.dead_letters(), act)("letters", "unknown", number=2)
    assert len(broker.parked) == 3
    getattr(broker.dead_letters(), act)("letters", "unknown", number=3)
    left = [body for _, body, _ in broker.parked]
    assert left == ([b"\xff1", b"", b"\xff2"] if act == "open" else [b"\xff1", b""])


def test_replay_all_keeps_order_in_waves() -> None:
    ids = [str(number) for number in range(WAVE + 1)]
    broker = broker_with(*ids)
    assert [letter.message_id for letter in broker.dead_letters().replay_all("letters")] == ids
    assert broker.replayed() == ids
    assert broker.parked == []
    assert broker.events == [f"published {WAVE}", f"removed {WAVE}", "published 1", "removed 1"]


def test_replay_all_of_large_messages_uses_smaller_waves() -> None:
    half = bytes(WAVE_BYTES // 2)
    broker = FakeBroker([(id_, half, HEADERS) for id_ in "abc"])
    assert [letter.message_id for letter in broker.dead_letters().replay_all("letters")] == ["a", "b", "c"]
    assert broker.events == ["published 2", "removed 2", "published 1", "removed 1"]


def test_replay_all_by_reason_leaves_the_others_in_order() -> None:
    other = {**HEADERS, REASON: "ValueError at services/x.py:1", QUEUE: "letters.0"}
    broker = FakeBroker([(id_, b"", other if id_ in "bd" else HEADERS) for id_ in "abcde"])
    replayed = broker.dead_letters().replay_all("letters", reason_contains="x.py")
    assert [letter.message_id for letter in replayed] == ["b", "d"]
    assert broker.replayed("letters.0") == ["b", "d"]
    assert broker.ids() == ["a", "c", "e"]


def test_kill_between_confirm_and_remove_leaves_a_copy_in_both_queues() -> None:
    broker = broker_with("a", "b")
    broker.failure, broker.fails_after = Killed(), 99
    with pytest.raises(Killed):
        broker.dead_letters().replay("letters", "a")
    assert broker.replayed() == ["a"]
    assert broker.ids() == ["a", "b"]


class Killed(Exception):
    """Simulates a kill of the process."""


def test_replay_without_broker_removes_nothing() -> None:
    broker = broker_with("a")
    broker.failure = BrokerUnavailable("gone")
    with pytest.raises(BrokerUnavailable):
        broker.dead_letters().replay("letters", "a")
    assert broker.ids() == ["a"]


def test_replay_removes_only_confirmed_messages() -> None:
    broker = broker_with("a", "b", "c")
    broker.failure, broker.fails_after = PublishIncomplete(1, "the connection broke"), 2
    replayed = []
    with pytest.raises(PublishIncomplete):
        for letter in broker.dead_letters().replay_all("letters"):
            replayed.append(letter.message_id)
    assert replayed == ["a"]
    assert broker.replayed() == ["a", "b"], "b arrived, which nobody knows"
    assert broker.ids() == ["b", "c"]


@pytest.mark.parametrize(
    ("headers", "why"),
    [({QUEUE: "letters.9"}, r"its queue letters\.9 does not exist"), ({}, "its original queue is unknown")],
)
def test_replay_without_original_queue_is_refused(headers: Mapping[str, Any], why: str) -> None:
    broker = FakeBroker([("a", b"", HEADERS), ("b", b"", headers), ("c", b"", HEADERS)])
    with pytest.raises(Refused, match=rf"b stays in letters\.parked: {why}"):
        list(broker.dead_letters().replay_all("letters"))
    assert broker.replayed() == ["a"]
    assert broker.ids() == ["b", "c"]


def test_discard_removes_only_the_named_message() -> None:
    broker = broker_with("a", "b", "c")
    (gone,) = broker.dead_letters().discard("letters", "b")
    assert gone.message_id == "b"
    assert broker.ids() == ["a", "c"]
    assert broker.replayed() == []


def test_discard_with_another_digest_is_refused() -> None:
    broker = FakeBroker([("unknown", b"one", HEADERS)])
    looked_at = broker.dead_letters().open("letters", "unknown", number=1)
    broker.parked = [("unknown", b"another", HEADERS)]
    with pytest.raises(Refused, match="is not the message that was inspected"):
        broker.dead_letters().discard("letters", "unknown", number=1, digest=looked_at.digest)
    assert broker.ids() == ["unknown"]
