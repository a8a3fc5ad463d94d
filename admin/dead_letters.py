"""What `kopuro dead-letters` does and prints.

It needs no sandbox: KOPURO_AMQP_URI names the broker of any hub, `--data-dir` that of an embedded one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from admin.embedded_broker import BrokerFiles, BrokerIdentity
from contracts.errors import Refused, Unavailable
from contracts.topology import hub_topology
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text
from kopuro_client.commands.report import failure
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetter, DeadLetters, EventSummary
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.browser import RabbitBrowsers

_COLUMNS = ("number", "consumer", "message id", "type", "time", "first seen", "reason")


class DeadLetterCommands:
    """An operator at one broker. Each method is a command, and may end in typer.Exit with an ExitCode."""

    def __init__(self, out: Output, data_dir: Path | None, environment: Mapping[str, str]) -> None:
        """data_dir: of an embedded hub; else `environment` names the broker in KOPURO_AMQP_URI."""
        self._out = out
        with self._complaining():
            self._uri = _broker_uri(data_dir, environment)

    def list(self, consumer: str | None) -> None:
        """Every dead letter, or one consumer's."""
        found: list[DeadLetter] = []
        with self._complaining(), self._at_broker() as dead_letters:
            for name in dead_letters.consumers if consumer is None else (consumer,):
                found += dead_letters.of(name)
        if self._out.as_json:
            self._out.document({"items": [_document(letter) for letter in found]})
        elif found:
            self._out.table(_COLUMNS, (row for letter in found for row in _rows(letter)))
        else:
            self._out.note("nothing is parked")

    def show(self, consumer: str, message_id: str, *, number: int | None, with_data: bool) -> None:
        """One dead letter, and its data if that is wanted and not sealed."""
        with self._complaining(), self._at_broker() as dead_letters:
            opened = dead_letters.open(consumer, message_id, number=number)
        if self._out.as_json:
            document = _document(opened.letter)
            if with_data:
                for event, data in zip(document["events"], opened.data, strict=True):
                    event["data"] = data
            self._out.document(document)
        else:
            self._out.fields(_named(_attributes(opened.letter)))
            for event, data in zip(opened.letter.events, opened.data, strict=True):
                self._out.blank()
                if event is None:
                    self._out.text("not an event")
                else:
                    self._out.fields(_named(_event_attributes(event)))
                if with_data and data is not None:
                    self._out.blank()
                    self._out.document(data)
        if with_data and None in opened.data:
            self._out.note("data that is sealed, or of which nothing says that it is not, is not shown")

    def replay(self, consumer: str, message_id: str, *, number: int | None) -> None:
        """One letter, back to its queue."""
        with self._complaining(), self._at_broker() as dead_letters:
            for letter in dead_letters.replay(consumer, message_id, number=number):
                self._say_replayed(letter)

    def replay_all(self, consumer: str, *, reason_contains: str) -> None:
        """All letters of a consumer, or those with a text in their reason."""
        count = 0
        try:
            with self._complaining(), self._at_broker() as dead_letters:
                for letter in dead_letters.replay_all(consumer, reason_contains=reason_contains):
                    self._say_replayed(letter)
                    count += 1
        finally:
            self._out.note(f"{count} replayed; what fails again is parked again")

    def discard(self, consumer: str, message_id: str, *, number: int | None, sure: bool) -> None:
        """One letter, gone for good. sure: without a question, which only a terminal can be asked."""
        with self._complaining(), self._at_broker() as dead_letters:
            opened = dead_letters.open(consumer, message_id, number=number)
            if not sure:
                # Asked between two looks: nobody waits for an answer that may take all night.
                self._confirm(opened.letter)
            gone = dead_letters.discard(consumer, message_id, number=number, digest=opened.digest)
        for letter in gone:
            self._out.note(f"gone for good: {_sentence(letter)}")
            self._say(letter)

    def _confirm(self, letter: DeadLetter) -> None:
        if not sys.stdin.isatty():
            raise UsageError("to discard is for good: add --yes where there is no terminal to ask")
        self._out.note(f"to be discarded for good: {_sentence(letter)}")
        if not typer.confirm("kopuro: discard it?", err=True):
            self._out.note("nothing was discarded")
            raise typer.Exit(ExitCode.OK)

    def _say_replayed(self, letter: DeadLetter) -> None:
        self._say(letter)
        if not self._out.as_json:
            self._out.note(f"back in {letter.origin}: {_sentence(letter)}")

    def _say(self, letter: DeadLetter) -> None:
        if self._out.as_json:
            self._out.json_line(_document(letter))
        else:
            self._out.text(letter.message_id)

    @contextlib.contextmanager
    def _at_broker(self) -> Iterator[DeadLetters]:
        with contextlib.closing(RabbitBroker(self._uri).publisher()) as publisher:
            yield DeadLetters(browse=RabbitBrowsers(self._uri), publisher=publisher, topology=hub_topology())

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            self._complain(error, ExitCode.USAGE)
        except Refused as error:
            self._complain(error, ExitCode.REFUSED)
        except BrokerUnavailable as error:
            self._complain(error, ExitCode.CANNOT_CONNECT)
        except Unavailable as error:
            self._complain(error, ExitCode.UNAVAILABLE)

    def _complain(self, error: Exception, code: ExitCode) -> None:
        if self._out.as_json and isinstance(error, Refused):
            self._out.note(json_text(error.problem()))
        else:
            self._out.note(failure(code, str(error), as_json=self._out.as_json))
        raise typer.Exit(code) from None


class UsageError(Exception):
    """The command line or a setting is wrong; nothing was done."""


def _broker_uri(data_dir: Path | None, environment: Mapping[str, str]) -> str:
    if data_dir is None:
        uri = environment.get("KOPURO_AMQP_URI", "").strip()
        if not uri:
            raise UsageError("which broker? Set KOPURO_AMQP_URI, or give --data-dir of an embedded hub")
        if not uri.startswith(("amqp://", "amqps://")):
            raise UsageError("KOPURO_AMQP_URI is not an amqp:// or amqps:// URI")
        return uri
    files = BrokerFiles(root=data_dir.resolve() / "broker")
    try:
        return BrokerIdentity.from_json(files.identity.read_text(encoding="utf-8")).uri()
    except FileNotFoundError:
        raise UsageError(f"{data_dir} has no broker of its own: set KOPURO_AMQP_URI") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{files.identity} cannot be read ({type(error).__name__})") from None


def _attributes(letter: DeadLetter) -> Iterator[tuple[str, Any]]:
    yield "number", letter.number
    yield "consumer", letter.consumer
    yield "message_id", letter.message_id
    yield "reason", letter.reason
    yield "first_seen", letter.first_seen
    yield "queue", letter.origin
    yield "partition_key", letter.partition_key
    yield "bytes", letter.size


def _event_attributes(event: EventSummary) -> Iterator[tuple[str, Any]]:
    yield "event_id", event.id
    yield "type", event.type
    yield "time", event.time.isoformat()
    yield "source", event.source
    yield "partition_key", event.partition_key
    yield "correlation_id", event.correlation_id
    yield "causation_id", event.causation_id
    yield "traceparent", event.traceparent


def _named(attributes: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    return ((name.replace("_", " "), value) for name, value in attributes)


def _document(letter: DeadLetter) -> dict[str, Any]:
    events = [dict(_event_attributes(event)) if event else {} for event in letter.events]
    return {**dict(_attributes(letter)), "events": events}


def _rows(letter: DeadLetter) -> Iterator[tuple[object, ...]]:
    said = letter.first_seen, letter.reason
    head = letter.number, letter.consumer, letter.message_id
    if len(letter.events) == 1:
        yield *head, *_type_and_time(letter.events[0]), *said
        return
    yield *head, f"{len(letter.events)} events:", "", *said
    for event in letter.events:
        yield "", "", event.id if event else "", *_type_and_time(event), "", ""


def _type_and_time(event: EventSummary | None) -> tuple[str, str]:
    return (event.type, event.time.isoformat(timespec="seconds")) if event else ("not an event", "")


def _sentence(letter: DeadLetter) -> str:
    if len(letter.events) > 1:
        kind = f"{len(letter.events)} events"
    else:
        (event,) = letter.events
        kind = event.type if event else f"{letter.size} bytes that are not an event"
    return f"{letter.message_id} of {letter.consumer}, {kind}, parked: {letter.reason}"
