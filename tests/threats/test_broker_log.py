"""The broker's log after hostile handshakes and requests: nothing of what the client sent."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import string
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import amqp
import pytest

from runtime.identifiers import new_id
from sandbox.broker import PrivateBroker
from sandbox.broker_configuration import ONLY_RABBITMQ_EVENTS, contents
from tests.journey.waiting import until
from tests.servers import ROOT
from tests.support.amqp_bytes import (
    METHODS,
    PROTOCOL_HEADER,
    damaged_contents,
    damaged_frames,
    damaged_methods,
    frame,
    long,
    method,
    short,
)

_LEVELS = ("log.connection.level = critical", "log.channel.level = critical", "log.default.level = error")
_TUNE_OK = struct.pack(">HIH", 64, 131072, 0)
_CONNECTIONS_AT_ONCE = 150  # below the usual limit of 1,024 open files
# Processes of connections, before login and after it.
_CONNECTIONS = "lists:sum([maps:get(all_connections, One) || One <- maps:values(ranch:info())])"


def start_ok(canary: str, *, mechanism: str = "PLAIN", response: bytes | None = None) -> bytes:
    """Return `connection.start-ok` with client properties, a mechanism and a response."""
    properties = b"".join(
        short(name) + b"S" + long(canary.encode()) for name in (b"product", b"connection_name")
    )
    login = f"\0{canary}\0{canary}".encode() if response is None else response
    arguments = long(properties) + short(mechanism.encode()) + long(login) + short(b"en_US")
    return method(10, 11, arguments)


def hostile_handshakes(canary: str) -> Iterator[list[bytes]]:
    """Yield what a stranger sends on one connection, piece by piece."""
    name = canary.encode()
    amqplain = short(b"LOGIN") + b"S" + long(name) + short(b"PASSWORD") + b"S" + long(name)
    yield [f"GET /{canary} HTTP/1.1\r\nHost: {canary}\r\n\r\n".encode()]
    yield [name[:8]]
    yield [PROTOCOL_HEADER, start_ok(canary)]
    yield [PROTOCOL_HEADER, start_ok(canary, mechanism=canary)]
    yield [PROTOCOL_HEADER, start_ok(canary, response=name)]
    yield [PROTOCOL_HEADER, start_ok(canary, mechanism="AMQPLAIN", response=amqplain)]
    yield [PROTOCOL_HEADER, frame(1, name, end=b"X")]
    yield [PROTOCOL_HEADER, frame(1, struct.pack(">HH", 10, 11) + name)]
    # A method that does not exist: its reader crashes, and has kept the client's properties.
    yield [PROTOCOL_HEADER, frame(1, name)]
    yield [PROTOCOL_HEADER, start_ok(canary), frame(1, name)]
    yield [PROTOCOL_HEADER, b"\x01\0\0\xff\xff\xff\xff" + name]


def declare_type(channel: amqp.Channel, canary: str) -> None:
    channel.exchange_declare(canary, canary)


def look_up(channel: amqp.Channel, canary: str) -> None:
    channel.queue_declare(canary, passive=True)


def bind(channel: amqp.Channel, canary: str) -> None:
    channel.queue_bind(canary, canary, canary)


def publish(channel: amqp.Channel, canary: str) -> None:
    channel.basic_publish(amqp.Message(canary, user_id=canary), "amq.direct", canary)
    channel.queue_declare(canary, passive=True)


def break_frame(channel: amqp.Channel, canary: str) -> None:
    sock = channel.connection.transport.sock
    sock.sendall(frame(1, canary.encode(), end=b"X"))
    sock.settimeout(10)
    while sock.recv(4096):
        pass


def unknown_method(channel: amqp.Channel, canary: str) -> None:
    sock = channel.connection.transport.sock
    sock.sendall(frame(1, canary.encode()))
    sock.settimeout(10)
    while sock.recv(4096):
        pass


def break_off(channel: amqp.Channel, canary: str) -> None:
    channel.connection.transport.sock.shutdown(socket.SHUT_RDWR)


REQUESTS: tuple[Callable[[amqp.Channel, str], None], ...] = (
    declare_type,
    look_up,
    bind,
    publish,
    break_frame,
    unknown_method,
    break_off,
)


def connect(
    broker: PrivateBroker, canary: str, *, user: str | None = None, vhost: str = "/"
) -> amqp.Connection:
    identity = broker.identity
    connection = amqp.Connection(
        f"127.0.0.1:{identity.amqp_port}",
        userid=user or identity.user,
        password=identity.password,
        virtual_host=vhost,
        client_properties={"product": canary, "connection_name": canary},
    )
    connection.connect()
    return connection


def test_log_of_the_broker_repeats_nothing_that_a_client_sent(broker: PrivateBroker) -> None:
    canary = f"canary-{new_id()}"
    sizes = log_sizes(broker)
    for pieces in hostile_handshakes(canary):
        with socket.create_connection(("127.0.0.1", broker.identity.amqp_port)) as client:
            client.settimeout(1.5)  # the broker answers a failed handshake after a second
            with contextlib.suppress(OSError):
                for piece in pieces:
                    client.sendall(piece)
                    client.recv(4096)
    for options in ({"vhost": canary}, {"user": canary}):
        with pytest.raises((amqp.AMQPError, OSError)):
            connect(broker, canary, **options)
    vhost = broker_vhost(broker)
    for request in REQUESTS:
        connection = connect(broker, canary, vhost=vhost)
        with contextlib.suppress(amqp.AMQPError, OSError):
            request(connection.channel(), canary)
        connection.collect()
    written = b"".join(settled_log(broker, sizes).values())
    sent = canary.encode()
    assert sent not in written
    assert sent[:8] not in written
    assert ", ".join(str(byte) for byte in sent[:8]).replace(" ", "").encode() not in written
    assert b"unknown exchange type" not in written
    assert b"unknown_method_id" not in written


def hostile_conversations(broker: PrivateBroker, vhost: str, canary: bytes) -> Iterator[bytes]:
    """Yield all that one connection sends: every method and frame, whole and damaged, at each stage of it."""
    identity = broker.identity
    login = f"\0{identity.user}\0{identity.password}".encode()
    name = canary.decode()
    stages = [PROTOCOL_HEADER]
    for stage in (
        start_ok(name, response=login),
        method(10, 31, _TUNE_OK),
        method(10, 40, short(vhost.encode()) + b"\0\0"),
        method(20, 10, b"\0", channel=1),
    ):
        stages.append(stages[-1] + stage)
    *before, opened = stages
    for said in before:
        for damage in (damaged_methods, damaged_frames):
            for sent in damage(canary, 0):
                yield said + sent
    # After `connection.close` the broker lets the channel read what it has received. After an end of the
    # connection without it, the channel may end first.
    close = method(10, 50, b"\0\0\0\0\0\0\0")
    for damage in (damaged_methods, damaged_frames, damaged_contents):
        for sent in damage(canary, 1):
            yield opened + sent + close
    # On the wrong channel, and on one that is not open.
    for channel in (0, 7):
        for class_id, number, _ in METHODS:
            yield opened + method(class_id, number, canary, channel=channel)
        for sent in damaged_contents(canary, channel):
            yield opened + sent
    yield PROTOCOL_HEADER + start_ok(name) + method(10, 31, canary)
    yield canary


def converse(broker: PrivateBroker, conversations: Iterator[bytes]) -> int:
    """Hold the conversations, many at a time, each until the broker closes it. Return their number."""
    count = 0
    address = ("127.0.0.1", broker.identity.amqp_port)
    while batch := list(islice(conversations, _CONNECTIONS_AT_ONCE)):
        with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as clients:
            for sent in batch:
                client = clients.enter_context(socket.create_connection(address))
                with contextlib.suppress(OSError):  # the broker has closed it after a part
                    client.sendall(sent)
                    client.shutdown(socket.SHUT_WR)
                waiting.register(client, selectors.EVENT_READ)
            while waiting.get_map():
                ready = waiting.select(30)
                assert ready, "the broker leaves connections open"
                for key, _ in ready:
                    if not _received(key.fileobj):
                        waiting.unregister(key.fileobj)
            count += len(batch)
    return count


def _received(client: object) -> bytes:
    assert isinstance(client, socket.socket)
    try:
        return client.recv(65536)
    except ConnectionError:
        return b""


def texts_of(canary: bytes) -> list[bytes]:
    """Return how Erlang writes parts of the canary: as text, as numbers of bytes, as one number."""
    found = []
    for size in (4, 8):
        parts = {(canary * 2)[at : at + size] for at in range(len(canary))}
        found += [str(int.from_bytes(part, "big")).encode() for part in parts]
        found += [part.hex().encode() for part in parts]
        if size == 4:
            found += [*parts, *(",".join(map(str, part)).encode() for part in parts)]
    return found


def log_sizes(broker: PrivateBroker) -> dict[Path, int]:
    return {path: path.stat().st_size for path in broker.files.logs.rglob("*") if path.is_file()}


def settled_log(broker: PrivateBroker, sizes: dict[Path, int]) -> dict[str, bytes]:
    """Return what the node has written to each of its log files since, once all connections have ended."""
    until(lambda: broker.evaluate(_CONNECTIONS) == "0", "the end of all connections")
    mark = secrets.token_hex(8)
    broker.evaluate(f'rabbit_log:error("mark ~s", ["{mark}"])')
    until(lambda: mark.encode() in broker.files.log.read_bytes(), "the last line of the log")
    return {path.name: path.read_bytes()[sizes.get(path, 0) :] for path in log_sizes(broker)}


def test_log_of_the_broker_repeats_no_byte_of_any_method_or_frame(broker: PrivateBroker, vhost: str) -> None:
    canary = "".join(secrets.choice(string.ascii_letters) for _ in range(8)).encode()
    sizes = log_sizes(broker)
    held = converse(broker, hostile_conversations(broker, vhost.rpartition("/")[2], canary))
    assert held > 10 * len(METHODS)
    for name, written in settled_log(broker, sizes).items():
        joined = b"".join(written.split())
        assert [text for text in texts_of(canary) if text in joined] == [], name


def broker_vhost(broker: PrivateBroker) -> str:
    return broker.uri.rpartition("/")[2] or "/"


def test_every_deployment_keeps_all_but_events_of_rabbitmq_out_of_the_log() -> None:
    for name in ("rabbitmq/rabbitmq-env.conf", "compose/compose.yaml", "kubernetes/base/broker.yaml"):
        assert f'"{ONLY_RABBITMQ_EVENTS}"' in (ROOT / "deploy" / name).read_text(), name


def test_script_settings_of_every_deployment_forbid_crash_dumps_and_core_files() -> None:
    """`tests/deploy/test_containers.py` has those of the containers."""
    for name in ("rabbitmq/rabbitmq-env.conf", "kubernetes/base/broker.yaml"):
        lines = [line.strip() for line in (ROOT / "deploy" / name).read_text().splitlines()]
        assert {"export ERL_CRASH_DUMP_SECONDS=0", "ulimit -c 0"} <= set(lines), name


def test_every_configuration_of_a_broker_keeps_the_levels(broker: PrivateBroker) -> None:
    texts = [
        (ROOT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text(),
        (ROOT / "deploy" / "kubernetes" / "base" / "broker.yaml").read_text(),
        *contents(broker.files, broker.identity).values(),
    ]
    found = [[line for line in text.splitlines() if line.strip() in _LEVELS] for text in texts]
    assert [len(lines) for lines in found if lines] == [3, 3, 3]
    # An output's own level would replace the default. A later file must not lift the levels.
    later = (ROOT / "deploy" / "compose" / "rabbitmq.conf").read_text()
    for name in ("log.connection", "log.channel", "log.default"):
        assert name not in later
    for text in (*texts, later):
        assert "log.file.level" not in text
        assert "log.console.level" not in text
