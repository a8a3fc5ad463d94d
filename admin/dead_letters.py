"""Implementation of `kopuro admin dead-letters`.

KOPURO_AMQP_URI names the broker of any hub; `--data-dir` selects the broker of an embedded hub.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from admin.dead_letter_reads import read_of
from admin.embedded_broker import BrokerFiles, BrokerIdentity
from admin.manifest_files import current_key_file
from contracts.errors import Refused, Unavailable
from contracts.signatures import SigningKey
from contracts.topology import OPERATIONS, hub_topology
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.commands.output import Output
from kopuro_client.commands.printable import json_text
from kopuro_client.commands.report import failure
from kopuro_client.errors import InvalidArgumentError
from runtime.clock import SystemClock
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetter, DeadLetters, EventSummary, Opened
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.browser import RabbitBrowsers
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.tls import BROKER, TlsFiles, UnusableTlsFiles, tls_files

_COLUMNS = ("number", "consumer", "message id", "type", "time", "first seen", "reason")


class DeadLetterCommands:
    """The commands against one broker. Each method is a command and may raise typer.Exit with an ExitCode."""

    def __init__(self, out: Output, data_dir: Path | None, environment: Mapping[str, str]) -> None:
        """data_dir: of an embedded hub. None: KOPURO_AMQP_URI in `environment` names the broker."""
        self._out = out
        with self._reporting_errors():
            self._uri = _broker_uri(data_dir, environment)
            self._tls = _broker_tls(environment)
        self._data_dir = data_dir
        self._environment = environment

    def list(self, consumer: str | None) -> None:
        """List every dead letter, or those of one consumer."""
        letters: list[DeadLetter] = []
        with self._reporting_errors(), self._at_broker() as dead_letters:
            for name in dead_letters.consumers if consumer is None else (consumer,):
                letters += dead_letters.of(name)
        if self._out.as_json:
            self._out.document({"items": [_document(letter) for letter in letters]})
        elif letters:
            self._out.table(_COLUMNS, (row for letter in letters for row in _rows(letter)))
        else:
            self._out.note("no dead letters")

    def show(self, consumer: str, message_id: str, *, number: int | None, with_data: bool) -> None:
        """Show one dead letter; with_data: include its data unless that is sealed.

        The data of a referral is shown only after the broker has confirmed the record of the read.
        """
        with self._reporting_errors(), self._at_broker() as dead_letters:
            opened = dead_letters.open(consumer, message_id, number=number)
        if with_data:
            with self._reporting_errors():
                self._record_read(consumer, opened)
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
            self._out.note("sealed data, and data of unknown type, is not shown")

    def replay(self, consumer: str, message_id: str, *, number: int | None) -> None:
        """Return one dead letter to its queue."""
        with self._reporting_errors(), self._at_broker() as dead_letters:
            for letter in dead_letters.replay(consumer, message_id, number=number):
                self._report_replayed(letter)

    def replay_all(self, consumer: str, *, reason_contains: str) -> None:
        """Return all dead letters of a consumer, or those whose reason contains a text, to their queues."""
        count = 0
        try:
            with self._reporting_errors(), self._at_broker() as dead_letters:
                for letter in dead_letters.replay_all(consumer, reason_contains=reason_contains):
                    self._report_replayed(letter)
                    count += 1
        finally:
            self._out.note(f"{count} replayed; a message that fails again returns to the dead letters")

    def discard(self, consumer: str, message_id: str, *, number: int | None, sure: bool) -> None:
        """Delete one dead letter. sure: do not ask for confirmation (asking needs a terminal)."""
        with self._reporting_errors(), self._at_broker() as dead_letters:
            opened = dead_letters.open(consumer, message_id, number=number)
            if not sure:
                # The queue is free while the question waits, since the answer may take all night.
                self._confirm(opened.letter)
            discarded = dead_letters.discard(consumer, message_id, number=number, digest=opened.digest)
        for letter in discarded:
            self._out.note(f"discarded: {_summary(letter)}")
            self._write(letter)

    def _record_read(self, consumer: str, opened: Opened) -> None:
        read = read_of(consumer, opened, now=SystemClock().now())
        if read is not None:
            signer = WaveSigner(_signing_key(_key_file(self._data_dir, self._environment)))
            with contextlib.closing(self._broker().publisher()) as publisher:
                publisher.publish(signer.sign([outgoing(read)]))

    def _confirm(self, letter: DeadLetter) -> None:
        if not sys.stdin.isatty():
            raise UsageError(
                "cannot ask for confirmation without a terminal: add --yes to discard permanently"
            )
        self._out.note(f"about to discard permanently: {_summary(letter)}")
        if not typer.confirm("kopuro: discard this message?", err=True):
            self._out.note("nothing was discarded")
            raise typer.Exit(ExitCode.OK)

    def _report_replayed(self, letter: DeadLetter) -> None:
        self._write(letter)
        if not self._out.as_json:
            self._out.note(f"returned to {letter.origin}: {_summary(letter)}")

    def _write(self, letter: DeadLetter) -> None:
        if self._out.as_json:
            self._out.json_line(_document(letter))
        else:
            self._out.text(letter.message_id)

    @contextlib.contextmanager
    def _at_broker(self) -> Iterator[DeadLetters]:
        with contextlib.closing(self._broker().publisher()) as publisher:
            browse = RabbitBrowsers(self._uri, self._tls)
            yield DeadLetters(browse=browse, publisher=publisher, topology=hub_topology())

    def _broker(self) -> RabbitBroker:
        return RabbitBroker(self._uri, tls=self._tls)

    @contextlib.contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            self._fail(error, ExitCode.USAGE)
        except Refused as error:
            self._fail(error, ExitCode.REFUSED)
        except BrokerUnavailable as error:
            self._fail(error, ExitCode.CANNOT_CONNECT)
        except Unavailable as error:
            self._fail(error, ExitCode.UNAVAILABLE)

    def _fail(self, error: Exception, code: ExitCode) -> None:
        if self._out.as_json and isinstance(error, Refused):
            self._out.note(json_text(error.problem()))
        else:
            self._out.note(failure(code, str(error), as_json=self._out.as_json))
        raise typer.Exit(code) from None


class UsageError(Exception):
    """The command line or a setting is wrong; the command did nothing."""


def _broker_uri(data_dir: Path | None, environment: Mapping[str, str]) -> str:
    if data_dir is None:
        uri = environment.get("KOPURO_AMQP_URI", "").strip()
        if not uri:
            raise UsageError("no broker given: set KOPURO_AMQP_URI, or use --data-dir for an embedded hub")
        if not uri.startswith(("amqp://", "amqps://")):
            raise UsageError("KOPURO_AMQP_URI must be an amqp:// or amqps:// address")
        return uri
    files = BrokerFiles(root=data_dir.resolve() / "broker")
    try:
        identity = BrokerIdentity.from_json(files.identity.read_text(encoding="utf-8"))
        hub = json.loads((data_dir / "hub.json").read_text(encoding="utf-8"))["hub"]
        return identity.uri_of(hub, OPERATIONS)
    except FileNotFoundError:
        raise UsageError(f"{data_dir} has no broker of its own: set KOPURO_AMQP_URI") from None
    except KeyError:
        raise UsageError(f"{data_dir} was written by an earlier build: start its hub first") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{files.identity} cannot be read ({type(error).__name__})") from None


def _broker_tls(environment: Mapping[str, str]) -> TlsFiles | None:
    try:
        return tls_files(BROKER, environment)
    except UnusableTlsFiles as error:
        raise UsageError(str(error)) from None


def _key_file(data_dir: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file with the key of `operations`; None if nothing names it. Raises UsageError."""
    if data_dir is not None:
        try:
            return current_key_file(data_dir / "keys", OPERATIONS)
        except InvalidArgumentError as error:
            raise UsageError(f"the read must be recorded: {error}") from None
    name = environment.get("KOPURO_SERVICE_KEY", "").strip()
    return Path(name) if name else None


def _signing_key(file: Path | None) -> SigningKey:
    """Read the key that signs the record of a read. Raises UsageError."""
    if file is None:
        raise UsageError(
            "the read must be recorded: set KOPURO_SERVICE_KEY to the file with the key of `operations`"
        )
    try:
        return SigningKey(json.loads(file.read_text(encoding="utf-8")), STATEMENT_TYPE)
    except (OSError, ValueError):
        raise UsageError(f"{file} does not contain the private signing key of `operations`") from None


def _attributes(letter: DeadLetter) -> Iterator[tuple[str, Any]]:
    yield "number", letter.number
    yield "consumer", letter.consumer
    yield "message_id", letter.message_id
    yield "reason", letter.reason
    yield "first_seen", letter.first_seen
    yield "queue", letter.origin
    yield "exchange", letter.exchange
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
    cause = letter.first_seen, letter.reason
    head = letter.number, letter.consumer, letter.message_id
    if len(letter.events) == 1:
        yield *head, *_type_and_time(letter.events[0]), *cause
        return
    yield *head, f"{len(letter.events)} events:", "", *cause
    for event in letter.events:
        yield "", "", event.id if event else "", *_type_and_time(event), "", ""


def _type_and_time(event: EventSummary | None) -> tuple[str, str]:
    return (event.type, event.time.isoformat(timespec="seconds")) if event else ("not an event", "")


def _summary(letter: DeadLetter) -> str:
    if len(letter.events) > 1:
        kind = f"{len(letter.events)} events"
    else:
        (event,) = letter.events
        kind = event.type if event else f"{letter.size} bytes that are not an event"
    return f"{letter.message_id} of {letter.consumer} ({kind}): {letter.reason}"
