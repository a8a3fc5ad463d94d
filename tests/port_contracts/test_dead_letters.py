"""The contract of the port for browsing, and dead-letter queues on it: on the fake and on RabbitMQ."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from contracts.errors import Refused, Unavailable
from contracts.facts import Fact, ReplicaRequested, SealedCaseSubmitted
from contracts.topology import REPLAYS, Topology, addressed, dead_letter_queue, merged, work_queue
from runtime.messaging.dead_letters.browsing import Browse, Browsed, Browser
from runtime.messaging.dead_letters.dead_letter import FIRST_SEEN, QUEUE, REASON, ROUTING_KEY
from runtime.messaging.dead_letters.dead_letter_queue import WAVE, WAVE_BYTES, DeadLetters
from runtime.messaging.memory import MemoryBroker
from runtime.messaging.ports import (
    Broker,
    BrokerUnavailable,
    Delivery,
    Outgoing,
    Publisher,
    PublishIncomplete,
)
from runtime.messaging.rabbit import browser as rabbit_browser
from runtime.messaging.rabbit.browser import RabbitBrowsers
from tests.port_contracts.memory_browsers import MemoryBrowsers
from tests.support.events import message_of

TOPOLOGY = merged(
    Topology(
        exchanges=(),
        queues=(
            work_queue("letters.0", "letters"),
            work_queue("letters.1", "letters"),
            dead_letter_queue("letters"),
        ),
        bindings=(),
    ),
    addressed(REPLAYS, ["letters.0", "letters.1"]),
)
DEAD_LETTERS = "letters.parked"
SEEN = "2026-03-01T00:00:00+00:00"
HEADERS = {
    REASON: "Defect: It does not add up.",
    FIRST_SEEN: SEEN,
    QUEUE: "letters.1",
    ROUTING_KEY: "letter.posted",
}
LONG, SHORT = 10.0, 0.2


def parked(id_: str, *, body: bytes | None = None, headers: Mapping[str, str] = HEADERS) -> Outgoing:
    return Outgoing(
        exchange="",
        routing_key=DEAD_LETTERS,
        message_id=id_,
        partition_key="key",
        body=id_.encode() if body is None else body,
        headers=headers,
    )


def encoded_event(fact: Fact) -> bytes:
    return message_of(fact, "k", time=dt.datetime(2026, 2, 28, tzinfo=dt.UTC)).encode()


@dataclass
class Hub:
    """A broker with the consumer `letters`. events: the effects of dead-letter operations, in order.

    published: the messages that they published. failure: raised by their publisher after `fails_after`
    messages of a wave.
    """

    broker: Broker
    browse: Browse
    events: list[str] = field(default_factory=list)
    published: list[Outgoing] = field(default_factory=list)
    failure: Exception | None = None
    fails_after: int = 0

    def park(self, *ids: str) -> None:
        self.publish(*map(parked, ids))

    def publish(self, *messages: Outgoing) -> None:
        with contextlib.closing(self.broker.publisher()) as publisher:
            publisher.publish(messages)

    @contextlib.contextmanager
    def dead_letters(self) -> Iterator[DeadLetters]:
        with contextlib.closing(self.broker.publisher()) as publisher:
            yield DeadLetters(
                browse=self._recording_browse,
                publisher=RecordingPublisher(self, publisher),
                topology=TOPOLOGY,
            )

    @contextlib.contextmanager
    def _recording_browse(self, queue: str) -> Iterator[Browser]:
        with self.browse(queue) as browser:
            yield RecordingBrowser(self, browser)

    def seen(self) -> list[str]:
        """Return the ids in the dead-letter queue."""
        with self.browse(DEAD_LETTERS) as browser:
            return [message.message_id for message in browser.messages()]

    def bodies(self) -> list[bytes]:
        with self.browse(DEAD_LETTERS) as browser:
            return [message.body for message in browser.messages()]

    def replayed(self, queue: str = "letters.1") -> list[str]:
        """Empty a consumer's queue and return the ids of its messages."""
        with contextlib.closing(self.broker.consumer([queue], 1000)) as consumer:
            taken: list[Delivery] = []
            while more := consumer.take(1000, SHORT if taken else 2 * SHORT):
                taken += more
            consumer.acknowledge(taken)
        return [delivery.message_id for delivery in taken]


class RecordingPublisher:
    def __init__(self, hub: Hub, inner: Publisher) -> None:
        self._hub = hub
        self._inner = inner

    def publish(self, messages: Sequence[Outgoing]) -> None:
        failure = self._hub.failure
        self._inner.publish(messages if failure is None else messages[: self._hub.fails_after])
        self._hub.published += messages
        self._hub.events.append(f"published {len(messages)}")
        if failure is not None:
            raise failure

    def tend(self) -> None: ...

    def close(self) -> None: ...


class RecordingBrowser:
    def __init__(self, hub: Hub, inner: Browser) -> None:
        self._hub = hub
        self._inner = inner

    def messages(self) -> Iterator[Browsed]:
        return self._inner.messages()

    def remove(self, messages: Sequence[Browsed]) -> None:
        self._inner.remove(messages)
        self._hub.events.append(f"removed {len(messages)}")


@pytest.fixture
def hub(any_broker: Broker, request: pytest.FixtureRequest) -> Hub:
    any_broker.declare(TOPOLOGY)
    if isinstance(any_broker, MemoryBroker):
        return Hub(any_broker, MemoryBrowsers(any_broker))
    return Hub(any_broker, RabbitBrowsers(request.getfixturevalue("vhost")))


# --- Browsing ------------------------------------------------------------------------------------


def test_browsing_leaves_queue_unchanged_for_the_next_browser(hub: Hub) -> None:
    ids = [str(number) for number in range(500)]
    hub.park(*ids)
    for _ in range(10):
        assert hub.seen() == ids


def test_removal_keeps_other_messages_in_order(hub: Hub) -> None:
    ids = [str(number) for number in range(300)]
    hub.park(*ids)
    with hub.browse(DEAD_LETTERS) as browser:
        messages = list(browser.messages())
        browser.remove([messages[5], messages[250]])
        browser.remove([messages[100]])
    assert hub.seen() == [id_ for id_ in ids if id_ not in ("5", "250", "100")]


def test_removed_messages_do_not_return(hub: Hub) -> None:
    ids = [str(number) for number in range(1000)]
    hub.park(*ids)
    for left in range(900, 0, -100):
        with hub.browse(DEAD_LETTERS) as browser:
            browser.remove(list(browser.messages())[:100])
        assert hub.seen() == ids[-left:]


def test_aborted_browsing_changes_nothing(hub: Hub) -> None:
    hub.park("a", "b", "c")
    with pytest.raises(ZeroDivisionError), hub.browse(DEAD_LETTERS) as browser:
        next(browser.messages())
        raise ZeroDivisionError
    assert hub.seen() == ["a", "b", "c"]


def test_browser_of_empty_queue_has_no_messages(hub: Hub) -> None:
    assert hub.seen() == []


def test_message_arriving_during_browsing_is_left_to_the_next_browser(hub: Hub) -> None:
    hub.park("a", "b")
    with hub.browse(DEAD_LETTERS) as browser:
        messages = browser.messages()
        browser.remove([next(messages)])
        hub.park("c")
        assert [message.message_id for message in messages] == ["b"]
    assert hub.seen() == ["b", "c"]


def test_second_browser_is_unavailable_and_changes_nothing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbit_browser, "TURN_SECONDS", 0.0)
    hub.park("a", "b")
    with hub.browse(DEAD_LETTERS) as browser:
        next(browser.messages())
        with pytest.raises(Unavailable, match="Another process is browsing"):
            hub.seen()
    assert hub.seen() == ["a", "b"]


def test_browsing_missing_queue_is_refused(hub: Hub) -> None:
    with (
        pytest.raises(Refused, match=r"The queue stars\.parked does not exist"),
        hub.browse("stars.parked"),
    ):
        pass


# --- Looking -------------------------------------------------------------------------------------


def test_list_and_open_do_not_change_the_queue(hub: Hub) -> None:
    hub.park("a", "b", "c")
    with hub.dead_letters() as dead_letters:
        assert [letter.message_id for letter in dead_letters.of("letters")] == ["a", "b", "c"]
        assert dead_letters.open("letters", "b").letter.number == 2
    assert hub.seen() == ["a", "b", "c"]
    assert hub.events == []


def test_batch_is_opened_per_event_without_sealed_data(hub: Hub) -> None:
    case = SealedCaseSubmitted(referral_id="r", sender="kg.a", to=None, case="eyJhbGciOi.a.b.c.d")
    bodies = (encoded_event(ReplicaRequested(queue="somebody.directory")), encoded_event(case), b"{}")
    hub.publish(parked("a", body=b"[\n" + b",\n".join(bodies) + b"\n]", headers={}))
    with hub.dead_letters() as dead_letters:
        opened = dead_letters.open("letters", "a")
    assert [event and event.type for event in opened.letter.events] == [
        "kopuro.replica.requested.v1",
        "kopuro.sealed_case.submitted.v1",
        None,
    ]
    assert opened.data == ({"queue": "somebody.directory"}, None, None)


@pytest.mark.parametrize("act", ["open", "replay", "discard"])
def test_unknown_message_id_is_refused(hub: Hub, act: str) -> None:
    hub.park("a")
    with (
        hub.dead_letters() as dead_letters,
        pytest.raises(Refused, match=r"letters\.parked contains no message b"),
    ):
        getattr(dead_letters, act)("letters", "b")
    assert hub.seen() == ["a"]
    assert hub.events == []


def test_unknown_consumer_is_refused_with_the_known_ones(hub: Hub) -> None:
    with hub.dead_letters() as dead_letters, pytest.raises(Refused, match="The consumers are letters"):
        list(dead_letters.of("letters.1"))


@pytest.mark.parametrize("act", ["open", "replay", "discard"])
def test_different_dead_letters_with_one_id_need_a_number(hub: Hub, act: str) -> None:
    hub.publish(parked("unknown", body=b"\xff1"), parked("b", body=b""), parked("unknown", body=b"\xff2"))
    with hub.dead_letters() as dead_letters:
        with pytest.raises(Refused, match=r"choose a number \(1, 3\)"):
            getattr(dead_letters, act)("letters", "unknown")
        with pytest.raises(Refused, match="Message number 2 in"):
            getattr(dead_letters, act)("letters", "unknown", number=2)
        assert len(hub.seen()) == 3
        getattr(dead_letters, act)("letters", "unknown", number=3)
    assert hub.bodies() == ([b"\xff1", b"", b"\xff2"] if act == "open" else [b"\xff1", b""])


# --- Replay --------------------------------------------------------------------------------------


def test_replay_publishes_before_it_removes(hub: Hub) -> None:
    hub.park("a", "b", "c")
    with hub.dead_letters() as dead_letters:
        (letter,) = dead_letters.replay("letters", "b")
    assert letter.message_id == "b"
    assert hub.events == ["published 1", "removed 1"]
    assert hub.seen() == ["a", "c"]
    (back,) = hub.published
    assert (back.exchange, back.message_id, back.partition_key, back.body) == (REPLAYS, "b", "key", b"b")
    assert back.headers == {FIRST_SEEN: SEEN}, "a later parking keeps the first time, and says its own reason"
    assert not back.transient
    assert hub.replayed() == ["b"]


def test_copies_of_a_dead_letter_are_replayed_together(hub: Hub) -> None:
    hub.park("a", "b", "a")
    with hub.dead_letters() as dead_letters:
        assert len(dead_letters.replay("letters", "a")) == 2
    assert hub.seen() == ["b"]
    assert hub.replayed() == ["a", "a"]


def test_replay_all_keeps_order_in_waves(hub: Hub) -> None:
    ids = [str(number) for number in range(WAVE + 1)]
    hub.park(*ids)
    with hub.dead_letters() as dead_letters:
        assert [letter.message_id for letter in dead_letters.replay_all("letters")] == ids
    assert hub.replayed() == ids
    assert hub.seen() == []
    assert hub.events == [f"published {WAVE}", f"removed {WAVE}", "published 1", "removed 1"]


def test_replay_all_of_large_messages_uses_smaller_waves(hub: Hub) -> None:
    fifth = bytes(WAVE_BYTES // 5 + 1)  # below the limit of the broker for a message
    hub.publish(*(parked(id_, body=fifth) for id_ in "abcdef"))
    with hub.dead_letters() as dead_letters:
        assert [letter.message_id for letter in dead_letters.replay_all("letters")] == list("abcdef")
    assert hub.events == ["published 5", "removed 5", "published 1", "removed 1"]


def test_replay_all_by_reason_leaves_the_others_in_order(hub: Hub) -> None:
    other = {**HEADERS, REASON: "ValueError at services/x.py:1", QUEUE: "letters.0"}
    hub.publish(*(parked(id_, body=b"", headers=other if id_ in "bd" else HEADERS) for id_ in "abcde"))
    with hub.dead_letters() as dead_letters:
        replayed = list(dead_letters.replay_all("letters", reason_contains="x.py"))
    assert [letter.message_id for letter in replayed] == ["b", "d"]
    assert hub.replayed("letters.0") == ["b", "d"]
    assert hub.seen() == ["a", "c", "e"]


class Killed(Exception):
    """Simulates a kill of the process."""


def test_kill_between_confirm_and_remove_leaves_a_copy_in_both_queues(hub: Hub) -> None:
    hub.park("a", "b")
    hub.failure, hub.fails_after = Killed(), 99
    with pytest.raises(Killed), hub.dead_letters() as dead_letters:
        dead_letters.replay("letters", "a")
    assert hub.replayed() == ["a"]
    assert hub.seen() == ["a", "b"]


def test_replay_without_broker_removes_nothing(hub: Hub) -> None:
    hub.park("a")
    hub.failure = BrokerUnavailable("gone")
    with pytest.raises(BrokerUnavailable), hub.dead_letters() as dead_letters:
        dead_letters.replay("letters", "a")
    assert hub.seen() == ["a"]


def test_replay_removes_only_confirmed_messages(hub: Hub) -> None:
    hub.park("a", "b", "c")
    hub.failure, hub.fails_after = PublishIncomplete(1, "the connection broke"), 2
    replayed = []
    with pytest.raises(PublishIncomplete), hub.dead_letters() as dead_letters:
        for letter in dead_letters.replay_all("letters"):
            replayed.append(letter.message_id)
    assert replayed == ["a"]
    assert hub.replayed() == ["a", "b"], "b arrived, which nobody knows"
    assert hub.seen() == ["b", "c"]


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({**HEADERS, QUEUE: "letters.9"}, r"its queue letters\.9 does not exist"),
        ({}, "its original queue is unknown"),
    ],
)
def test_replay_without_original_queue_is_refused(hub: Hub, headers: Mapping[str, str], why: str) -> None:
    hub.publish(parked("a"), parked("b", headers=headers), parked("c"))
    with (
        hub.dead_letters() as dead_letters,
        pytest.raises(Refused, match=rf"b stays in letters\.parked: {why}"),
    ):
        list(dead_letters.replay_all("letters"))
    # A broker may deliver what comes after the refused message, but does not confirm it: it stays here too.
    assert hub.replayed() in (["a"], ["a", "c"])
    assert hub.seen() == ["b", "c"]


# --- Discard -------------------------------------------------------------------------------------


def test_discard_removes_only_the_named_message(hub: Hub) -> None:
    hub.park("a", "b", "c")
    with hub.dead_letters() as dead_letters:
        (gone,) = dead_letters.discard("letters", "b")
    assert gone.message_id == "b"
    assert hub.seen() == ["a", "c"]
    assert hub.replayed() == []


def test_discard_with_another_digest_is_refused(hub: Hub) -> None:
    hub.publish(parked("unknown", body=b"one"))
    with hub.dead_letters() as dead_letters:
        inspected = dead_letters.open("letters", "unknown", number=1)
        dead_letters.discard("letters", "unknown", number=1, digest=inspected.digest)
        hub.publish(parked("unknown", body=b"another"))
        with pytest.raises(Refused, match="is not the message that was inspected"):
            dead_letters.discard("letters", "unknown", number=1, digest=inspected.digest)
    assert hub.seen() == ["unknown"]
