"""Dead letters on a real broker: browsing without side effects, and replay to a consumer."""

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

from contracts.broker_rights import USERS
from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import Fact, ReplicaRequested, SealedCaseSubmitted
from contracts.topology import (
    DIRECT,
    PARKED,
    REPLAYS,
    Queue,
    Topology,
    addressed,
    dead_letter_queue,
    hub_topology,
    merged,
    work_queue,
)
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
from tests.messaging.consumer_harness import SECRET, START, TABLES, ConsumerHarness, delivery, opened
from tests.support.hub_users import imported

LETTERS = merged(
    Topology(
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
    ),
    addressed(PARKED, ["letters.parked"]),
    addressed(REPLAYS, ["letters.1", "letters.fragile"]),
)
LONG = 10.0


def parked_one(id_: str, *, body: bytes | None = None, reason: str = "Defect: No.") -> Outgoing:
    return dead_letter_of(delivery(id_, body=body), consumer="letters", reason=reason, now=START)


@dataclass
class DeadLetterBroker:
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
        """Take and acknowledge `count` messages."""
        with contextlib.closing(self.broker.consumer([queue], 1000)) as consumer:
            taken: list[Delivery] = []
            while len(taken) < count:
                more = consumer.take(1000, LONG)
                assert more, f"only {len(taken)} of {count} arrived in {queue}"
                taken += more
            consumer.acknowledge(taken)
        return taken

    def exhaust_deliveries(self, id_: str) -> None:
        """Publish a message on which a process dies each time, until the delivery limit is passed."""
        self.publish(
            Outgoing(
                exchange=DIRECT,
                routing_key="letters.fragile",
                message_id=id_,
                partition_key="key",
                body=id_.encode(),
            )
        )
        for _ in range(2):
            with contextlib.closing(self.broker.consumer(["letters.fragile"], 1)) as consumer:
                assert consumer.take(1, LONG)

    def await_parked(self, count: int) -> list[str]:
        """Wait until the dead-letter queue has `count` messages; return their ids."""
        deadline = time.monotonic() + LONG
        while len(ids := self.seen()) < count:
            assert time.monotonic() < deadline, f"only {ids} are parked"
        return ids


@pytest.fixture
def letters_broker(vhost: str) -> DeadLetterBroker:
    return DeadLetterBroker(vhost)


# --- Looking -------------------------------------------------------------------------------------


def test_browsing_leaves_queue_unchanged_for_the_next_browser(letters_broker: DeadLetterBroker) -> None:
    ids = [str(number) for number in range(500)]
    letters_broker.park(*ids)
    for _ in range(10):
        assert letters_broker.seen() == ids


def test_browser_closes_after_all_messages_are_back(letters_broker: DeadLetterBroker) -> None:
    letters_broker.park(*(str(number) for number in range(500)))
    with kombu.Connection(letters_broker.uri) as other:
        channel = other.channel()

        def ready() -> int:
            return int(channel.queue_declare("letters.parked", passive=True).message_count)

        for _ in range(10):
            with letters_broker.browse("letters.parked") as browser:
                list(browser.messages())
                assert ready() == 0
                browser.end()
                assert ready() == 500


def test_removal_keeps_other_messages_in_order(letters_broker: DeadLetterBroker) -> None:
    ids = [str(number) for number in range(300)]
    letters_broker.park(*ids)
    with letters_broker.browse("letters.parked") as browser:
        messages = list(browser.messages())
        browser.remove([messages[5], messages[250]])
        browser.remove([messages[100]])
    assert letters_broker.seen() == [id_ for id_ in ids if id_ not in ("5", "250", "100")]


def test_removed_messages_do_not_return(letters_broker: DeadLetterBroker) -> None:
    ids = [str(number) for number in range(1000)]
    letters_broker.park(*ids)
    for left in range(900, 0, -100):
        with letters_broker.browse("letters.parked") as browser:
            browser.remove(list(browser.messages())[:100])
        assert letters_broker.seen() == ids[-left:]


def test_aborted_browsing_changes_nothing(letters_broker: DeadLetterBroker) -> None:
    letters_broker.park("a", "b", "c")
    with pytest.raises(ZeroDivisionError), letters_broker.browse("letters.parked") as browser:
        next(browser.messages())
        raise ZeroDivisionError
    assert letters_broker.seen() == ["a", "b", "c"]


def test_browser_of_empty_queue_has_no_messages(letters_broker: DeadLetterBroker) -> None:
    assert letters_broker.seen() == []


def test_message_arriving_during_browsing_is_left_to_the_next_browser(
    letters_broker: DeadLetterBroker,
) -> None:
    letters_broker.park("a", "b")
    with letters_broker.browse("letters.parked") as browser:
        messages = browser.messages()
        browser.remove([next(messages)])
        letters_broker.park("c")
        assert [message.message_id for message in messages] == ["b"]
    assert letters_broker.seen() == ["b", "c"]


def test_second_browser_waits_for_the_first_and_sees_all_messages(
    letters_broker: DeadLetterBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_browser, "TURN_SECONDS", 0.0)
    letters_broker.park("a", "b")
    with letters_broker.browse("letters.parked") as browser:
        next(browser.messages())
        with pytest.raises(Unavailable, match="Another process is browsing"):
            letters_broker.seen()
    assert letters_broker.seen() == ["a", "b"]


def test_browsing_missing_queue_is_refused(letters_broker: DeadLetterBroker) -> None:
    with (
        pytest.raises(Refused, match=r"The queue stars\.parked does not exist"),
        letters_broker.browse("stars.parked"),
    ):
        pass


def test_browsing_without_broker_raises_broker_unavailable(vhost: str) -> None:
    nobody = vhost.rsplit(":", 1)[0] + ":1/x"
    with pytest.raises(BrokerUnavailable), RabbitBrowsers(nobody)("letters.parked"):
        pass


# --- Back to the consumer ------------------------------------------------------------------------


@pytest.fixture
def harness(sqlite_database: str) -> Iterator[ConsumerHarness]:
    with opened(sqlite_database) as database:
        yield ConsumerHarness(database)


def processed(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness, count: int
) -> BatchProcessor[Identified]:
    """Consume this many messages, and publish the dead letters as the relay would."""
    before = len(harness.parked())
    harness.processor.process(letters_broker.take("letters.1", count))
    letters_broker.publish(*harness.parked()[before:])
    return harness.processor


def in_inbox(harness: ConsumerHarness) -> list[str]:
    with harness.database.read() as transaction:
        return sorted(transaction.execute(select(TABLES.inbox.c.message_id)).scalars())


def post(letters_broker: DeadLetterBroker, *ids: str) -> None:
    letters_broker.publish(
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


def test_replayed_poison_message_returns_until_its_cause_is_fixed(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    harness.faults["b"] = ValueError(SECRET)
    post(letters_broker, "a", "b", "c")
    processed(letters_broker, harness, 3)
    assert letters_broker.seen() == ["b"]
    assert in_inbox(harness) == ["a", "c"], "what is parked is not known, so that it can take effect"

    harness.clock.advance(days=1)
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.replay("letters", "b")
    assert letters_broker.seen() == []
    processed(letters_broker, harness, 1)
    with letters_broker.dead_letters() as dead_letters:
        (again,) = dead_letters.of("letters")
    assert again.first_seen == START.isoformat()
    assert (again.origin, again.partition_key) == ("letters.1", "key of b")
    assert SECRET not in again.reason

    harness.faults.clear()
    with letters_broker.dead_letters() as dead_letters:
        dead_letters.replay("letters", "b")
    processed(letters_broker, harness, 1)
    assert harness.effects() == ["a", "b", "c"]
    assert letters_broker.seen() == []


class DyingPublisher:
    """Publishes, and is killed before the confirm is read."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def publish(self, messages: Sequence[Outgoing]) -> None:
        self._publisher.publish(messages)
        raise SystemExit

    def tend(self) -> None: ...

    def close(self) -> None: ...


def test_replay_killed_before_removal_loses_nothing_and_applies_once(
    letters_broker: DeadLetterBroker, harness: ConsumerHarness
) -> None:
    letters_broker.park("a", "b", "c")
    publisher = DyingPublisher(letters_broker.broker.publisher())
    with pytest.raises(SystemExit), letters_broker.dead_letters(publisher) as dead_letters:
        dead_letters.replay("letters", "b")
    assert letters_broker.seen() == ["a", "b", "c"], "still parked"
    with letters_broker.dead_letters() as dead_letters:
        replayed = [letter.message_id for letter in dead_letters.replay_all("letters")]
    assert replayed == ["a", "b", "c"]
    assert letters_broker.seen() == []
    deliveries = letters_broker.take("letters.1", 4)
    assert [delivery.message_id for delivery in deliveries] == ["b", "a", "b", "c"], "in both places"
    harness.processor.process(deliveries)
    assert harness.effects() == ["a", "b", "c"]


def test_message_dead_lettered_by_broker_is_replayed_to_its_queue(letters_broker: DeadLetterBroker) -> None:
    letters_broker.exhaust_deliveries("a")
    assert letters_broker.await_parked(1) == ["a"]
    with letters_broker.dead_letters() as dead_letters:
        (letter,) = dead_letters.of("letters")
        assert (letter.reason, letter.origin) == (
            "dead-lettered by the broker: delivery_limit",
            "letters.fragile",
        )
        assert letter.first_seen is not None
        dead_letters.replay("letters", "a")
    (back,) = letters_broker.take("letters.fragile", 1)
    assert (back.body, back.headers["partitionkey"]) == (b"a", "key")
    assert "x-death" not in back.headers
    assert letters_broker.seen() == []


def test_dead_letter_whose_queue_is_gone_stays(letters_broker: DeadLetterBroker) -> None:
    orphan = parked_one("b")
    letters_broker.publish(
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
        letters_broker.dead_letters() as dead_letters,
        pytest.raises(Refused, match=r"b stays in letters\.parked: its queue letters\.9 does not exist"),
    ):
        list(dead_letters.replay_all("letters"))
    assert letters_broker.seen() == ["b", "c"]
    assert letters_broker.take("letters.1", 1)[0].message_id == "a"


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
    """The `kopuro` command, connected to one broker."""

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
    """A terminal at a broker with three dead letters: an event, a sealed case, and bytes that are neither."""
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


def test_list_command_shows_type_and_reason_without_content(terminal: Terminal) -> None:
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


def test_list_command_filters_by_consumer(terminal: Terminal) -> None:
    code, out, _ = terminal.run("list", "--consumer", "vault.sealed")
    assert code == ExitCode.OK
    assert OPEN_ID not in out
    assert terminal.run("list", "--consumer", "routing")[1:] == ("", "no dead letters\n")
    code, out, err = terminal.run("list", "--consumer", "routing.0")
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "There is no consumer 'routing.0'" in err


def test_show_command_includes_data_on_request_unless_sealed(terminal: Terminal) -> None:
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


def test_replay_command_prints_id_and_returns_message_to_its_queue(terminal: Terminal, vhost: str) -> None:
    code, out, err = terminal.run("replay", "vault.sealed", SEALED_ID)
    assert (code, out) == (ExitCode.OK, f"{SEALED_ID}\n")
    assert "returned to vault.sealed" in err
    with contextlib.closing(RabbitBroker(vhost).consumer(["vault.sealed"], 1)) as consumer:
        (back,) = consumer.take(1, LONG)
    assert back.message_id == SEALED_ID
    assert terminal.items() == [ALL[0], ALL[2]]


def test_replay_all_command_filters_by_reason(terminal: Terminal) -> None:
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
        # no terminal to ask for confirmation
        ("discard", "vault.sealed", "unknown"),
    ],
)
def test_ambiguous_command_line_changes_nothing(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    code, out, err = terminal.run(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err
    assert terminal.items() == ALL


@pytest.mark.parametrize("command", [("show",), ("replay",), ("discard", "--yes")])
def test_unknown_message_id_is_refused(terminal: Terminal, command: tuple[str, ...]) -> None:
    code, out, err = terminal.run(*command, "vault.sealed", OPEN_ID)
    assert (code, out) == (ExitCode.REFUSED, "")
    assert err == f"kopuro: vault.sealed.parked contains no message {OPEN_ID}.\n"


def test_discard_command_deletes_message_and_reports_it(terminal: Terminal) -> None:
    code, out, err = terminal.run("discard", "vault.sealed", "unknown", "--yes")
    assert (code, out) == (ExitCode.OK, "unknown\n")
    assert err.startswith("discarded: unknown of vault.sealed")
    assert terminal.items() == ALL[:2]


def test_list_and_show_name_every_event_of_dead_lettered_batch(terminal: Terminal, vhost: str) -> None:
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
    assert err.startswith(f"discarded: {OPEN_ID} of vault.events (3 events): ")
    assert terminal.items() == ALL


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "left"), [("y\n", ALL[:2]), ("n\n", ALL), ("\n", ALL)])
def test_discard_command_asks_for_confirmation_on_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, answer: str, left: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(answer))
    code, _, err = terminal.run("discard", "vault.sealed", "unknown")
    assert code == ExitCode.OK
    assert "about to discard permanently: unknown of vault.sealed" in err
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
def test_unreachable_broker_has_its_exit_code_without_password_in_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str | None, code: ExitCode
) -> None:
    monkeypatch.delenv("KOPURO_AMQP_URI", raising=False)
    if uri is not None:
        monkeypatch.setenv("KOPURO_AMQP_URI", uri)
    found, out, err = Terminal(capsys).run("list")
    assert (found, out) == (code, "")
    assert "secret" not in err


def test_replay_of_queue_in_use_is_unavailable(
    terminal: Terminal, vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_browser, "TURN_SECONDS", 0.0)
    with RabbitBrowsers(vhost)("vault.sealed.parked"):
        assert terminal.run("replay", "vault.sealed", "--all")[0] == ExitCode.UNAVAILABLE
    assert terminal.items() == ALL


def test_list_command_uses_broker_of_data_directory(
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
    identity = broker.identity.with_passwords(USERS)
    imported(broker, broker.uri, tmp_path, passwords=identity.passwords)
    (tmp_path / "hub.json").write_text(json.dumps({"hub": "kg"}))
    (tmp_path / "broker").mkdir()
    stored = tmp_path / "broker" / "identity.json"
    # a hub of an earlier build has no user for its operators until it is started again
    stored.write_text(broker.identity.to_json())
    code, _, err = terminal.run("list", "--data-dir", str(tmp_path))
    assert (code, "start its hub first" in err) == (ExitCode.USAGE, True)
    stored.write_text(identity.to_json())
    assert terminal.run("list", "--data-dir", str(tmp_path)) == (ExitCode.OK, "", "no dead letters\n")
