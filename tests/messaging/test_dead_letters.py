"""Dead letters on a real broker: looks that leave no trace, and the way back to a consumer."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import kombu
import pytest
from sqlalchemy import select

from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import Fact, ReplicaRequested, SealedCaseSubmitted
from contracts.topology import DIRECT, Queue, Topology, dead_letter_queue, hub_topology, work_queue
from kopuro_client.commands import ExitCode, main
from runtime.messaging.batches import BatchProcessor, Identified
from runtime.messaging.dead_letters.dead_letter import dead_letter_of
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetters
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.ports import BrokerUnavailable, Delivery, Outgoing, Publisher
from runtime.messaging.rabbit import browser as rabbit_browser
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.browser import RabbitBrowsers
from sandbox.broker import PrivateBroker
from tests.messaging.workshop import SECRET, START, TABLES, Workshop, opened

LETTERS = Topology(
    exchanges=(),
    queues=(
        work_queue("letters.1", "letters"),
        Queue(
            name="letters.fragile",
            arguments={**work_queue("letters.fragile", "letters").arguments, "x-delivery-limit": 1},
        ),
        dead_letter_queue("letters"),
        Queue(name="answers", arguments={"x-queue-type": "quorum"}),
    ),
    bindings=(),
)
LONG = 10.0


def parked_one(id_: str, *, body: bytes | None = None, reason: str = "Defect: No.") -> Outgoing:
    delivery = Delivery(
        tag=1,
        queue="letters.1",
        routing_key="letter.posted",
        message_id=id_,
        body=id_.encode() if body is None else body,
        headers={"partitionkey": f"key of {id_}"},
        redelivered=False,
    )
    return dead_letter_of(delivery, consumer="letters", reason=reason, now=START)


@dataclass
class PostOffice:
    """A virtual host with the consumer `letters`."""

    uri: str

    def __post_init__(self) -> None:
        self.broker = RabbitBroker(self.uri)
        self.broker.declare(LETTERS)
        self.browse = RabbitBrowsers(self.uri)

    def publish(self, *messages: Outgoing) -> None:
        with contextlib.closing(self.broker.publisher()) as publisher:
            publisher.publish(messages)

    def park(self, *ids: str) -> None:
        self.publish(*map(parked_one, ids))

    @contextlib.contextmanager
    def dead_letters(self, publisher: Publisher | None = None) -> Iterator[DeadLetters]:
        with contextlib.closing(self.broker.publisher()) as ours:
            yield DeadLetters(browse=self.browse, publisher=publisher or ours, topology=LETTERS)

    def seen(self) -> list[str]:
        with self.browse("letters.parked") as browser:
            return [message.message_id for message in browser.messages()]

    def take(self, queue: str, count: int) -> list[Delivery]:
        """So many, which are then gone from the queue."""
        with contextlib.closing(self.broker.consumer([queue], 1000)) as consumer:
            taken: list[Delivery] = []
            while len(taken) < count:
                more = consumer.take(1000, LONG)
                assert more, f"only {len(taken)} of {count} arrived in {queue}"
                taken += more
            consumer.acknowledge(taken)
        return taken

    def await_parked(self, count: int) -> list[str]:
        """For what the broker parks in its own time."""
        deadline = time.monotonic() + LONG
        while len(ids := self.seen()) < count:
            assert time.monotonic() < deadline, f"only {ids} are parked"
        return ids


@pytest.fixture
def office(vhost: str) -> PostOffice:
    return PostOffice(vhost)


# --- Looking -------------------------------------------------------------------------------------


def test_a_look_leaves_everything_in_its_place_for_whoever_looks_next(office: PostOffice) -> None:
    ids = [str(number) for number in range(500)]
    office.park(*ids)
    for _ in range(10):
        assert office.seen() == ids


def test_a_look_ends_when_everything_is_back(office: PostOffice) -> None:
    office.park(*(str(number) for number in range(500)))
    with kombu.Connection(office.uri) as other:
        channel = other.channel()

        def ready() -> int:
            return int(channel.queue_declare("letters.parked", passive=True).message_count)

        for _ in range(10):
            with office.browse("letters.parked") as browser:
                list(browser.messages())
                assert ready() == 0
                browser.end()
                assert ready() == 500


def test_what_is_removed_leaves_the_rest_in_order(office: PostOffice) -> None:
    ids = [str(number) for number in range(300)]
    office.park(*ids)
    with office.browse("letters.parked") as browser:
        messages = list(browser.messages())
        browser.remove([messages[5], messages[250]])
        browser.remove([messages[100]])
    assert office.seen() == [id_ for id_ in ids if id_ not in ("5", "250", "100")]


def test_however_many_are_removed_none_comes_back(office: PostOffice) -> None:
    ids = [str(number) for number in range(1000)]
    office.park(*ids)
    for left in range(900, 0, -100):
        with office.browse("letters.parked") as browser:
            browser.remove(list(browser.messages())[:100])
        assert office.seen() == ids[-left:]


def test_a_look_that_is_given_up_changes_nothing(office: PostOffice) -> None:
    office.park("a", "b", "c")
    with pytest.raises(ZeroDivisionError), office.browse("letters.parked") as browser:
        next(browser.messages())
        raise ZeroDivisionError
    assert office.seen() == ["a", "b", "c"]


def test_an_empty_queue_holds_nothing(office: PostOffice) -> None:
    assert office.seen() == []


def test_what_arrives_during_a_look_is_for_the_next_one(office: PostOffice) -> None:
    office.park("a", "b")
    with office.browse("letters.parked") as browser:
        messages = browser.messages()
        browser.remove([next(messages)])
        office.park("c")
        assert [message.message_id for message in messages] == ["b"]
    assert office.seen() == ["b", "c"]


def test_a_second_look_waits_for_the_first_and_sees_all(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_browser, "TURN_SECONDS", 0.0)
    office.park("a", "b")
    with office.browse("letters.parked") as browser:
        next(browser.messages())
        with pytest.raises(Unavailable, match="Somebody else is browsing"):
            office.seen()
    assert office.seen() == ["a", "b"]


def test_a_queue_that_is_not_there_is_refused(office: PostOffice) -> None:
    with pytest.raises(Refused, match=r"no queue stars\.parked"), office.browse("stars.parked"):
        pass


def test_without_a_broker_it_says_so(vhost: str) -> None:
    nobody = vhost.rsplit(":", 1)[0] + ":1/x"
    with pytest.raises(BrokerUnavailable), RabbitBrowsers(nobody)("letters.parked"):
        pass


# --- Back to the consumer ------------------------------------------------------------------------


@pytest.fixture
def workshop(sqlite_database: str) -> Iterator[Workshop]:
    with opened(sqlite_database) as database:
        yield Workshop(database)


def processed(office: PostOffice, workshop: Workshop, count: int) -> BatchProcessor[Identified]:
    """The consumer takes so many from its queue; what it parks is published as its relay would."""
    before = len(workshop.parked())
    workshop.processor.process(office.take("letters.1", count))
    office.publish(*workshop.parked()[before:])
    return workshop.processor


def in_inbox(workshop: Workshop) -> list[str]:
    with workshop.database.read() as transaction:
        return sorted(transaction.execute(select(TABLES.inbox.c.message_id)).scalars())


def post(office: PostOffice, *ids: str) -> None:
    office.publish(
        *(
            Outgoing(
                exchange=DIRECT,
                routing_key="letters.1",
                message_id=id_,
                partition_key=f"key of {id_}",
                body=id_.encode(),
            )
            for id_ in ids
        )
    )


def test_a_poison_letter_is_parked_again_until_its_cause_is_mended(
    office: PostOffice, workshop: Workshop
) -> None:
    workshop.faults["b"] = ValueError(SECRET)
    post(office, "a", "b", "c")
    processed(office, workshop, 3)
    assert office.seen() == ["b"]
    assert in_inbox(workshop) == ["a", "c"], "what is parked is not known, so that it can take effect"

    workshop.clock.advance(days=1)
    with office.dead_letters() as dead_letters:
        dead_letters.replay("letters", "b")
    assert office.seen() == []
    processed(office, workshop, 1)
    with office.dead_letters() as dead_letters:
        (again,) = dead_letters.of("letters")
    assert again.first_seen == START.isoformat()
    assert (again.origin, again.partition_key) == ("letters.1", "key of b")
    assert SECRET not in again.reason

    workshop.faults.clear()
    with office.dead_letters() as dead_letters:
        dead_letters.replay("letters", "b")
    processed(office, workshop, 1)
    assert workshop.effects() == ["a", "b", "c"]
    assert office.seen() == []


class DyingPublisher:
    """Publishes, and dies before anybody hears of it."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self._publisher.publish(messages)
        raise SystemExit

    def tend(self) -> None: ...

    def close(self) -> None: ...


def test_killed_between_publishing_and_removing_nothing_is_lost_and_nothing_happens_twice(
    office: PostOffice, workshop: Workshop
) -> None:
    office.park("a", "b", "c")
    publisher = DyingPublisher(office.broker.publisher())
    with pytest.raises(SystemExit), office.dead_letters(publisher) as dead_letters:
        dead_letters.replay("letters", "b")
    assert office.seen() == ["a", "b", "c"], "still parked"
    with office.dead_letters() as dead_letters:
        replayed = [letter.message_id for letter in dead_letters.replay_all("letters")]
    assert replayed == ["a", "b", "c"]
    assert office.seen() == []
    deliveries = office.take("letters.1", 4)
    assert [delivery.message_id for delivery in deliveries] == ["b", "a", "b", "c"], "in both places"
    workshop.processor.process(deliveries)
    assert workshop.effects() == ["a", "b", "c"]


def test_a_letter_that_the_broker_gave_up_goes_back_to_its_queue(office: PostOffice) -> None:
    office.publish(
        Outgoing(
            exchange=DIRECT, routing_key="letters.fragile", message_id="a", partition_key="key", body=b"a"
        )
    )
    # A process that dies on the message each time, until the delivery limit is passed.
    for _ in range(2):
        with contextlib.closing(office.broker.consumer(["letters.fragile"], 1)) as consumer:
            assert consumer.take(1, LONG)
    assert office.await_parked(1) == ["a"]
    with office.dead_letters() as dead_letters:
        (letter,) = dead_letters.of("letters")
        assert (letter.reason, letter.origin) == (
            "dead-lettered by the broker: delivery_limit",
            "letters.fragile",
        )
        assert letter.first_seen is not None
        dead_letters.replay("letters", "a")
    (back,) = office.take("letters.fragile", 1)
    assert (back.body, back.headers["partitionkey"]) == (b"a", "key")
    assert "x-death" not in back.headers
    assert office.seen() == []


def test_a_letter_whose_queue_is_gone_stays(office: PostOffice) -> None:
    orphan = parked_one("b")
    office.publish(
        parked_one("a"),
        Outgoing(
            exchange=orphan.exchange,
            routing_key=orphan.routing_key,
            message_id="b",
            partition_key="p",
            body=b"b",
            headers={**orphan.headers, "kopuro-queue": "letters.9"},
        ),
        parked_one("c"),
    )
    with (
        office.dead_letters() as dead_letters,
        pytest.raises(Refused, match=r"b stays in letters\.parked: its queue letters\.9 does not exist"),
    ):
        list(dead_letters.replay_all("letters"))
    assert office.seen() == ["b", "c"]
    assert office.take("letters.1", 1)[0].message_id == "a"


# --- The command ---------------------------------------------------------------------------------

CIPHERTEXT = "eyJhbGciOi.Y2lwaGVydGV4dA.aXY.Y2lwaGVydGV4dA.dGFn"
OPEN_ID, SEALED_ID = "0199a0de-0000-7000-8000-000000000001", "0199a0de-0000-7000-8000-000000000002"


def event(id_: str, fact: Fact) -> bytes:
    return Event(
        id=id_,
        source="/kg/test",
        time=START,
        partition_key="key",
        correlation_id=id_,
        causation_id=None,
        data=fact,
    ).encode()


@dataclass
class Terminal:
    """The `kopuro` command at one broker."""

    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["dead-letters", *arguments])
        out, err = self.capsys.readouterr()
        return code, out, err

    def items(self) -> list[tuple[str, str]]:
        code, out, _ = self.run("list", "--json")
        assert code == ExitCode.OK
        return [(item["consumer"], item["message_id"]) for item in json.loads(out)["items"]]


@pytest.fixture
def terminal(vhost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """With three letters parked: an event, a sealed letter, and bytes that are neither."""
    monkeypatch.setenv("KOPURO_AMQP_URI", vhost)
    broker = RabbitBroker(vhost)
    broker.declare(hub_topology())
    with contextlib.closing(broker.publisher()) as publisher:
        for consumer, id_, body, reason in (
            (
                "directory.requests",
                OPEN_ID,
                event(OPEN_ID, ReplicaRequested(queue="somebody.directory")),
                "Defect: It does not add up.",
            ),
            (
                "vault.sealed",
                SEALED_ID,
                event(
                    SEALED_ID, SealedCaseSubmitted(referral_id="r", sender="kg.a", to=None, case=CIPHERTEXT)
                ),
                "ValueError at services/vault/handlers.py:1",
            ),
            ("vault.sealed", "unknown", b"\xff" + SECRET.encode(), "Malformed: not JSON"),
        ):
            delivery = Delivery(
                tag=1,
                queue=consumer,
                routing_key="some.fact",
                message_id=id_,
                body=body,
                headers={"partitionkey": "key"},
                redelivered=False,
            )
            publisher.publish([dead_letter_of(delivery, consumer=consumer, reason=reason, now=START)])
    return Terminal(capsys)


ALL = [("directory.requests", OPEN_ID), ("vault.sealed", SEALED_ID), ("vault.sealed", "unknown")]


def test_the_list_says_what_and_why_and_never_the_content(terminal: Terminal) -> None:
    code, out, err = terminal.run("list")
    assert (code, err) == (ExitCode.OK, "")
    heading, open_, sealed, broken = out.splitlines()
    assert heading.split() == [
        "number",
        "consumer",
        "message",
        "id",
        "type",
        "time",
        "first",
        "seen",
        "reason",
    ]
    assert open_.split()[:4] == ["1", "directory.requests", OPEN_ID, "kopuro.replica.requested.v1"]
    assert open_.endswith("Defect: It does not add up.")
    assert sealed.split()[:4] == ["1", "vault.sealed", SEALED_ID, "kopuro.sealed_case.submitted.v1"]
    assert START.isoformat() in sealed
    assert broken.split()[:3] == ["2", "vault.sealed", "unknown"]
    assert "not an event" in broken
    _, document, _ = terminal.run("list", "--json")
    for content in (SECRET, "somebody.directory", CIPHERTEXT):
        assert content not in out + document
    assert terminal.items() == ALL


def test_the_list_of_one_consumer(terminal: Terminal) -> None:
    code, out, _ = terminal.run("list", "--consumer", "vault.sealed")
    assert code == ExitCode.OK
    assert OPEN_ID not in out
    assert terminal.run("list", "--consumer", "routing")[1:] == ("", "nothing is parked\n")
    code, out, err = terminal.run("list", "--consumer", "routing.0")
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "There is no consumer 'routing.0'" in err


def test_data_is_shown_when_asked_for_and_never_when_sealed(terminal: Terminal) -> None:
    code, out, err = terminal.run("show", "directory.requests", OPEN_ID)
    assert (code, err) == (ExitCode.OK, "")
    assert "somebody.directory" not in out
    assert {"queue", "reason", "correlation id"} <= {line.split("  ")[0] for line in out.splitlines()}
    assert "somebody.directory" in terminal.run("show", "directory.requests", OPEN_ID, "--data")[1]
    _, out, _ = terminal.run("show", "directory.requests", OPEN_ID, "--data", "--json")
    assert json.loads(out)["events"][0]["data"] == {"queue": "somebody.directory"}
    for id_ in (SEALED_ID, "unknown"):
        for options in ((), ("--data",), ("--data", "--json")):
            code, out, err = terminal.run("show", "vault.sealed", id_, *options)
            assert code == ExitCode.OK
            assert CIPHERTEXT not in out + err
            assert SECRET not in out + err
            assert ("is not shown" in err) == bool(options)
    assert terminal.items() == ALL


def test_a_replayed_letter_is_named_on_stdout_and_back_in_its_queue(terminal: Terminal, vhost: str) -> None:
    code, out, err = terminal.run("replay", "vault.sealed", SEALED_ID)
    assert (code, out) == (ExitCode.OK, f"{SEALED_ID}\n")
    assert "back in vault.letters" in err
    with contextlib.closing(RabbitBroker(vhost).consumer(["vault.sealed"], 1)) as consumer:
        (back,) = consumer.take(1, LONG)
    assert back.message_id == SEALED_ID
    assert terminal.items() == [ALL[0], ALL[2]]


def test_replaying_all_of_a_reason(terminal: Terminal) -> None:
    code, out, err = terminal.run("replay", "vault.sealed", "--all", "--reason-contains", "handlers.py")
    assert (code, out) == (ExitCode.OK, f"{SEALED_ID}\n")
    assert "1 replayed" in err
    _, out, _ = terminal.run("replay", "vault.sealed", "--all", "--json")
    assert json.loads(out)["message_id"] == "unknown"
    assert terminal.items() == ALL[:1]
    assert "0 replayed" in terminal.run("replay", "vault.sealed", "--all")[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "vault.sealed"),
        ("replay", "vault.sealed", "unknown", "--all"),
        ("replay", "vault.sealed", "--all", "--number", "1"),
        ("replay", "vault.sealed", "unknown", "--reason-contains", "x"),
        # nobody is there to be asked
        ("discard", "vault.sealed", "unknown"),
    ],
)
def test_what_is_not_clear_is_not_done(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    code, out, err = terminal.run(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err
    assert terminal.items() == ALL


@pytest.mark.parametrize("command", [("show",), ("replay",), ("discard", "--yes")])
def test_a_wrong_id_is_refused(terminal: Terminal, command: tuple[str, ...]) -> None:
    code, out, err = terminal.run(*command, "vault.sealed", OPEN_ID)
    assert (code, out) == (ExitCode.REFUSED, "")
    assert err == f"kopuro: vault.letters.parked contains no message {OPEN_ID}.\n"


def test_a_discarded_letter_is_gone_and_said_to_be(terminal: Terminal) -> None:
    code, out, err = terminal.run("discard", "vault.sealed", "unknown", "--yes")
    assert (code, out) == (ExitCode.OK, "unknown\n")
    assert err.startswith("gone for good: unknown of vault.letters")
    assert terminal.items() == ALL[:2]


def test_every_event_of_a_parcel_that_the_broker_gave_up_is_named(terminal: Terminal, vhost: str) -> None:
    bodies = (
        event(OPEN_ID, ReplicaRequested(queue="somebody.directory")),
        event(SEALED_ID, SealedCaseSubmitted(referral_id="r", sender="kg.a", to=None, case=CIPHERTEXT)),
        b"{}",
    )
    (parcel,) = encode_batch(
        Outgoing(
            exchange=DIRECT,
            routing_key="vault.events.parked",
            message_id=OPEN_ID,
            partition_key="key",
            body=body,
        )
        for body in bodies
    )
    with contextlib.closing(RabbitBroker(vhost).publisher()) as publisher:
        publisher.publish([parcel])

    _, out, _ = terminal.run("list", "--consumer", "vault.events")
    whole, *within = out.splitlines()[1:]
    assert whole.split()[:5] == ["1", "vault.events", OPEN_ID, "3", "events:"]
    assert [line.split()[:2] for line in within] == [
        [OPEN_ID, "kopuro.replica.requested.v1"],
        [SEALED_ID, "kopuro.sealed_case.submitted.v1"],
        ["not", "an"],
    ]
    _, out, err = terminal.run("show", "vault.events", OPEN_ID, "--data")
    for shown in (OPEN_ID, SEALED_ID, "somebody.directory", "not an event"):
        assert shown in out
    assert CIPHERTEXT not in out + err
    assert "is not shown" in err
    _, out, _ = terminal.run("show", "vault.events", OPEN_ID, "--data", "--json")
    assert [one.get("data") for one in json.loads(out)["events"]] == [
        {"queue": "somebody.directory"},
        None,
        None,
    ]
    _, _, err = terminal.run("discard", "vault.events", OPEN_ID, "--yes")
    assert err.startswith(f"gone for good: {OPEN_ID} of vault.events, 3 events, parked: ")
    assert terminal.items() == ALL


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "left"), [("y\n", ALL[:2]), ("n\n", ALL), ("\n", ALL)])
def test_at_a_terminal_it_asks_first(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, answer: str, left: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(answer))
    code, _, err = terminal.run("discard", "vault.sealed", "unknown")
    assert code == ExitCode.OK
    assert "to be discarded for good: unknown of vault.letters" in err
    assert ("nothing was discarded" in err) == (left == ALL)
    assert terminal.items() == left


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        (None, ExitCode.USAGE),
        ("http://secret@localhost", ExitCode.USAGE),
        ("amqp://a:secret@127.0.0.1:1/x", ExitCode.CANNOT_CONNECT),
    ],
)
def test_a_broker_that_is_not_there_has_its_exit_code_and_no_password_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str | None, code: ExitCode
) -> None:
    monkeypatch.delenv("KOPURO_AMQP_URI", raising=False)
    if uri is not None:
        monkeypatch.setenv("KOPURO_AMQP_URI", uri)
    found, out, err = Terminal(capsys).run("list")
    assert (found, out) == (code, "")
    assert "secret" not in err


def test_a_queue_in_use_is_unavailable_for_now(
    terminal: Terminal, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_browser, "TURN_SECONDS", 0.0)
    with RabbitBrowsers(vhost)("vault.sealed.parked"):
        assert terminal.run("replay", "vault.sealed", "--all")[0] == ExitCode.UNAVAILABLE
    assert terminal.items() == ALL


def test_the_broker_of_an_embedded_hub(
    broker: PrivateBroker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KOPURO_AMQP_URI", "amqp://127.0.0.1:1/")
    terminal = Terminal(capsys)
    code, _, err = terminal.run("list", "--data-dir", str(tmp_path))
    assert code == ExitCode.USAGE
    assert "no broker of its own" in err
    RabbitBroker(broker.uri).declare(hub_topology())
    (tmp_path / "broker").symlink_to(broker.files.root)
    assert terminal.run("list", "--data-dir", str(tmp_path)) == (ExitCode.OK, "", "nothing is parked\n")
