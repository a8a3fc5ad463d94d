"""The options of accepted connections, and connections that a listener refuses."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import eventlet
import pytest
from prometheus_client import CollectorRegistry

from runtime.settings import Address
from runtime.telemetry.metrics import ConnectionMetrics
from runtime.web import deadlines
from runtime.web.connection_queue import ConnectionQueue
from runtime.web.connections import Connection, ConnectionLimits
from runtime.web.fair_turns import A_ROUND, FairTurns
from runtime.web.listener import Listener, prepare
from runtime.web.protocol import Protocol


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_refused_connection_gets_its_answer_without_a_greenlet() -> None:
    spawned: list[Any] = []

    def spawn(function: Callable[[], None]) -> Any:
        spawned.append(function)
        return eventlet.spawn(function)

    port = free_port()
    none = ConnectionLimits(total=0, per_address=0, waiting=0)
    metrics = ConnectionMetrics(CollectorRegistry(), "public")
    listener = Listener(
        Address(host="127.0.0.1", port=port), lambda _e, _s: [], spawn, limits=none, metrics=metrics
    )
    listener.open()
    try:
        loops = len(spawned)
        for _ in range(5):
            client = eventlet.connect(("127.0.0.1", port))
            client.settimeout(10)
            answer = b""
            while piece := client.recv(4096):
                answer += piece
            client.close()
            assert answer.startswith(b"HTTP/1.1 503 ")
        assert len(spawned) == loops
    finally:
        listener.close()


def test_answer_that_is_not_read_takes_little_memory() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with peer, accepted:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        prepare(accepted)
        taken = 0
        while True:
            try:
                taken += accepted.send(bytes(64 * 1024))
            except BlockingIOError:
                break
    assert taken < 512 * 1024


def test_listener_looks_at_its_queue_only_while_connections_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[ConnectionQueue] = []
    first_of_each = ConnectionQueue.first_of_each

    def look(queue: ConnectionQueue) -> list[Connection]:
        looks.append(queue)
        return first_of_each(queue)

    monkeypatch.setattr(ConnectionQueue, "first_of_each", look)
    port = free_port()
    one = ConnectionLimits(total=1, per_address=1, waiting=20)
    metrics = ConnectionMetrics(CollectorRegistry(), "public")
    listener = Listener(
        Address(host="127.0.0.1", port=port), lambda _e, _s: [], eventlet.spawn, limits=one, metrics=metrics
    )
    listener.open()
    try:
        for _ in range(2):
            eventlet.sleep(0.2)
            assert not looks
            # One has the place, one address replaces it a bounded number of times, and the others wait.
            clients = [eventlet.connect(("127.0.0.1", port)) for _ in range(60)]
            with eventlet.Timeout(10):
                while not looks:
                    eventlet.sleep(0.01)
            for client in clients:
                client.close()
            with eventlet.Timeout(10):
                while len(looks[0]):
                    eventlet.sleep(0.01)
            eventlet.sleep(0.1)
            looks.clear()
    finally:
        listener.close()


@pytest.mark.parametrize("step", ["setup", "_refuse"])
def test_connections_that_send_together_and_are_late_together_take_turns(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """300 heads of a byte a second would otherwise hold the process twice in each HEAD_SECONDS."""
    rounds, in_round = [0], list[int]()
    done, end_round = getattr(Protocol, step), FairTurns._end_round

    def recorded(protocol: Protocol, *arguments: Any) -> Any:
        in_round.append(rounds[0])
        return done(protocol, *arguments)

    def ended(turns: FairTurns) -> None:
        rounds[0] += 1
        end_round(turns)

    monkeypatch.setattr(FairTurns, "_end_round", ended)
    monkeypatch.setattr(Protocol, step, recorded)
    monkeypatch.setattr(deadlines, "HEAD_SECONDS", 0.5)
    port = free_port()
    limits = ConnectionLimits(total=100, per_address=100, waiting=20)
    listener = Listener(
        Address(host="127.0.0.1", port=port),
        lambda _e, _s: [],
        eventlet.spawn,
        limits=limits,
        metrics=ConnectionMetrics(CollectorRegistry(), "public"),
    )
    listener.open()
    try:
        clients = [eventlet.connect(("127.0.0.1", port)) for _ in range(60)]
        eventlet.sleep(0.1)
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
        for client in clients:
            client.settimeout(10)
            assert client.recv(4096).startswith(b"HTTP/1.1 408 ")
            client.close()
    finally:
        listener.close()
    assert len(in_round) == 60
    assert max(Counter(in_round).values()) <= A_ROUND
