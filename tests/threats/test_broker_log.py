"""The broker's log after hostile handshakes and requests: nothing of what the client sent."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator

import amqp
import pytest

from runtime.identifiers import new_id
from sandbox.broker import PrivateBroker
from sandbox.broker_configuration import NO_CRASH_REPORTS, contents
from tests.servers import ROOT

_HEADER = b"AMQP\0\0\x09\x01"
_LEVELS = ("log.connection.level = critical", "log.channel.level = critical")


def short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def long(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def frame(kind: int, payload: bytes, end: bytes = b"\xce") -> bytes:
    return struct.pack(">BHI", kind, 0, len(payload)) + payload + end


def start_ok(canary: str, *, mechanism: str = "PLAIN", response: bytes | None = None) -> bytes:
    """Return `connection.start-ok` with client properties, a mechanism and a response."""
    properties = b"".join(
        short(name) + b"S" + long(canary.encode()) for name in ("product", "connection_name")
    )
    login = f"\0{canary}\0{canary}".encode() if response is None else response
    arguments = long(properties) + short(mechanism) + long(login) + short("en_US")
    return frame(1, struct.pack(">HH", 10, 11) + arguments)


def hostile_handshakes(canary: str) -> Iterator[list[bytes]]:
    """Yield what a stranger sends on one connection, piece by piece."""
    name = canary.encode()
    amqplain = short("LOGIN") + b"S" + long(name) + short("PASSWORD") + b"S" + long(name)
    yield [f"GET /{canary} HTTP/1.1\r\nHost: {canary}\r\n\r\n".encode()]
    yield [name[:8]]
    yield [_HEADER, start_ok(canary)]
    yield [_HEADER, start_ok(canary, mechanism=canary)]
    yield [_HEADER, start_ok(canary, response=name)]
    yield [_HEADER, start_ok(canary, mechanism="AMQPLAIN", response=amqplain)]
    yield [_HEADER, frame(1, name, end=b"X")]
    yield [_HEADER, frame(1, struct.pack(">HH", 10, 11) + name)]
    # A method that does not exist: its reader crashes, and has kept the client's properties.
    yield [_HEADER, frame(1, name)]
    yield [_HEADER, start_ok(canary), frame(1, name)]
    yield [_HEADER, b"\x01\0\0\xff\xff\xff\xff" + name]


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
    before = broker.files.log.stat().st_size
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
    # The node reports the end of a broken connection up to three seconds later. A shorter wait would miss
    # lines, and never fail without one.
    time.sleep(3)
    written = broker.files.log.read_bytes()[before:]
    sent = canary.encode()
    assert sent not in written
    assert sent[:8] not in written
    assert ", ".join(str(byte) for byte in sent[:8]).replace(" ", "").encode() not in written
    assert b"unknown exchange type" not in written
    assert b"unknown_method_id" not in written


def broker_vhost(broker: PrivateBroker) -> str:
    return broker.uri.rpartition("/")[2] or "/"


def test_every_deployment_keeps_reports_of_crashed_processes_out_of_the_log() -> None:
    for name in ("rabbitmq/rabbitmq-env.conf", "compose/compose.yaml", "kubernetes/base/broker.yaml"):
        assert f'"{NO_CRASH_REPORTS}"' in (ROOT / "deploy" / name).read_text(), name


def test_every_configuration_of_a_broker_keeps_the_levels(broker: PrivateBroker) -> None:
    texts = [
        (ROOT / "deploy" / "rabbitmq" / "rabbitmq.conf").read_text(),
        (ROOT / "deploy" / "kubernetes" / "base" / "broker.yaml").read_text(),
        *contents(broker.files, broker.identity).values(),
    ]
    found = [[line for line in text.splitlines() if line.strip() in _LEVELS] for text in texts]
    assert [len(lines) for lines in found if lines] == [2, 2, 2]
    # Read after the first one, and must not lift them.
    later = (ROOT / "deploy" / "compose" / "rabbitmq.conf").read_text()
    assert "log.connection" not in later
    assert "log.channel" not in later
