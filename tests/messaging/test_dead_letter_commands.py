"""The command `kopuro admin dead-letters`, on a real broker."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.broker_rights import USERS
from contracts.facts import Fact, ReplicaRequested, SealedCaseSubmitted
from contracts.topology import DIRECT, hub_topology
from kopuro_client.commands import ExitCode, main
from runtime.messaging.dead_letters.dead_letter import dead_letter_of
from runtime.messaging.outbox.event_batch import encode_batch
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.rabbit import browser as rabbit_browser
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.browser import RabbitBrowsers
from sandbox.broker import PrivateBroker
from tests.messaging.consumer_harness import SECRET, START
from tests.support.events import message_of
from tests.support.hub_users import imported

LONG = 10.0
CIPHERTEXT = "eyJhbGciOi.Y2lwaGVydGV4dA.aXY.Y2lwaGVydGV4dA.dGFn"
OPEN_ID, SEALED_ID = "0199a0de-0000-7000-8000-000000000001", "0199a0de-0000-7000-8000-000000000002"


def event(id_: str, fact: Fact) -> bytes:
    return message_of(fact, "key", time=START, id_=id_).encode()


@dataclass
class Terminal:
    """The `kopuro` command, connected to one broker."""

    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["admin", "dead-letters", *arguments])
        out, err = self.capsys.readouterr()
        return code, out, err

    def items(self) -> list[tuple[str, str]]:
        code, out, _ = self.run("list", "--json")
        assert code == ExitCode.OK
        return [(item["consumer"], item["message_id"]) for item in json.loads(out)["items"]]


@pytest.fixture
def terminal(vhost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal at a broker of its own with the three dead letters."""
    park_dead_letters(vhost)
    monkeypatch.setenv("KOPURO_AMQP_URI", vhost)
    return Terminal(capsys)


@pytest.fixture(scope="module")
def shared_vhost(module_vhost: str) -> str:
    """A virtual host with the three dead letters, which no test changes."""
    park_dead_letters(module_vhost)
    return module_vhost


@pytest.fixture
def reader(
    shared_vhost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    """A terminal for commands that change nothing. Afterwards the dead letters are still there."""
    monkeypatch.setenv("KOPURO_AMQP_URI", shared_vhost)
    terminal = Terminal(capsys)
    yield terminal
    assert terminal.items() == ALL


def park_dead_letters(vhost: str) -> None:
    """Declare the hub's queues, with three dead letters: an event, a sealed case, and neither."""
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
                exchange="kopuro.events.intake",
            )
            publisher.publish([dead_letter_of(delivery, consumer=consumer, reason=reason, now=START)])


ALL = [("directory.requests", OPEN_ID), ("vault.sealed", SEALED_ID), ("vault.sealed", "unknown")]


def test_list_command_shows_type_and_reason_without_content(reader: Terminal) -> None:
    code, out, err = reader.run("list")
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
    _, document, _ = reader.run("list", "--json")
    for content in (SECRET, "somebody.directory", CIPHERTEXT):
        assert content not in out + document


def test_list_command_filters_by_consumer(reader: Terminal) -> None:
    code, out, _ = reader.run("list", "--consumer", "vault.sealed")
    assert code == ExitCode.OK
    assert OPEN_ID not in out
    assert reader.run("list", "--consumer", "routing")[1:] == ("", "no dead letters\n")
    code, out, err = reader.run("list", "--consumer", "routing.0")
    assert (code, out) == (ExitCode.REFUSED, "")
    assert "There is no consumer 'routing.0'" in err


def test_show_command_includes_data_on_request_unless_sealed(reader: Terminal) -> None:
    code, out, err = reader.run("show", "directory.requests", OPEN_ID)
    assert (code, err) == (ExitCode.OK, "")
    assert "somebody.directory" not in out
    assert ["exchange", "kopuro.events.intake"] in [line.split() for line in out.splitlines()]
    assert {"queue", "reason", "correlation id"} <= {line.split("  ")[0] for line in out.splitlines()}
    assert "somebody.directory" in reader.run("show", "directory.requests", OPEN_ID, "--data")[1]
    _, out, _ = reader.run("show", "directory.requests", OPEN_ID, "--data", "--json")
    assert json.loads(out)["events"][0]["data"] == {"queue": "somebody.directory"}
    for id_ in (SEALED_ID, "unknown"):
        for options in ((), ("--data",), ("--data", "--json")):
            code, out, err = reader.run("show", "vault.sealed", id_, *options)
            assert code == ExitCode.OK
            assert CIPHERTEXT not in out + err
            assert SECRET not in out + err
            assert ("is not shown" in err) == bool(options)


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
def test_ambiguous_command_line_changes_nothing(reader: Terminal, arguments: tuple[str, ...]) -> None:
    code, out, err = reader.run(*arguments)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err


@pytest.mark.parametrize("command", [("show",), ("replay",), ("discard", "--yes")])
def test_unknown_message_id_is_refused(reader: Terminal, command: tuple[str, ...]) -> None:
    code, out, err = reader.run(*command, "vault.sealed", OPEN_ID)
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
    (batch,) = encode_batch(
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
        publisher.publish([batch])

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
    reader: Terminal, shared_vhost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_browser, "TURN_SECONDS", 0.0)
    with RabbitBrowsers(shared_vhost)("vault.sealed.parked"):
        assert reader.run("replay", "vault.sealed", "--all")[0] == ExitCode.UNAVAILABLE


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
    # A hub of an earlier build has no user for its operators until it is started again.
    stored.write_text(broker.identity.to_json())
    code, _, err = terminal.run("list", "--data-dir", str(tmp_path))
    assert (code, "start its hub first" in err) == (ExitCode.USAGE, True)
    stored.write_text(identity.to_json())
    assert terminal.run("list", "--data-dir", str(tmp_path)) == (ExitCode.OK, "", "no dead letters\n")
