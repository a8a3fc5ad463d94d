"""The witness's server over raw sockets: one request per connection, no ambiguous requests."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kopuro_client.tlog.keys import SigningKey
from kopuro_client.witness import Witness, WitnessRecord, serve, server
from kopuro_client.witness.witness import WitnessResponse
from tests.endless_servers import PAUSE
from tests.support.raw_http import exchange

MARKER = b"secret-marker"
SECOND = b"GET /" + b"0" * 64 + b"/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    witness = Witness(
        key=SigningKey.generate("w.example"), logs=[], record=WitnessRecord(tmp_path / "state"), now=lambda: 1
    )
    running = serve(witness, "127.0.0.1", 0, complain=lambda text: None)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running.server_address[1]
    running.shutdown()
    running.server_close()


POST = b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n"
UNCLEAR = {
    "no colon": POST + b"X-Name\r\nContent-Length: 2\r\n\r\n{}",
    "space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
}


@pytest.mark.parametrize("request_", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_ambiguous_request_is_refused_and_connection_closed(port: int, request_: bytes) -> None:
    response = exchange(port, request_ + SECOND)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close\r\n" in response
    assert response.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "first",
    [
        b"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SECOND),
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(SECOND),
        b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_bytes_after_a_request_are_not_processed(port: int, first: bytes) -> None:
    response = exchange(port, first + SECOND)
    assert response.startswith(b"HTTP/1.1 404 ")
    assert response.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "request_",
    [
        MARKER + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + MARKER + b" HTTP/9.9\r\n\r\n",
        MARKER + b"\r\n\r\n",
    ],
)
def test_error_response_quotes_nothing_of_the_request(port: int, request_: bytes) -> None:
    response = exchange(port, request_)
    assert response.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert MARKER not in response
    assert b"<" not in response


@pytest.mark.parametrize(
    "start", [b"", POST, POST + b"Content-Length: 1000\r\n\r\n"], ids=["nothing", "a head", "a body"]
)
def test_slow_client_is_disconnected(port: int, monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(server, "READING", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(start)
        connection.settimeout(PAUSE)
        for _ in range(int(5 / PAUSE)):
            try:
                connection.sendall(b"x")
                if connection.recv(65536):
                    continue  # a response to the partial request
            except TimeoutError:
                continue
            except OSError:
                pass
            return
    pytest.fail("the connection is still open")


def connected(port: int, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))


def started_since(earlier: set[threading.Thread]) -> set[threading.Thread]:
    return set(threading.enumerate()) - earlier


@pytest.mark.parametrize("own", [True, False], ids=["of one address", "of others"])
def test_request_is_answered_beside_any_number_of_silent_connections(
    port: int, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    monkeypatch.setattr(server, "MOST", 6)
    monkeypatch.setattr(server, "MOST_OF_ADDRESS", 4)
    # The time of a silent connection must not end it first.
    monkeypatch.setattr(server, "READING", 60.0)
    limit = 4 if own else 6
    # Servers of other tests in this process may still have threads.
    earlier = set(threading.enumerate())
    with ExitStack() as held:
        addresses = ["127.0.0.1"] if own else ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        silent = [
            held.enter_context(connected(port, address))
            for _ in range(12 // len(addresses))
            for address in addresses
        ]
        assert exchange(port, SECOND).startswith(b"HTTP/1.1 404 ")
        # The oldest were cut, and no more than the limit are left with a thread.
        for one in silent[: 12 - limit]:
            assert one.recv(1) == b""
        within = time.monotonic() + 10
        while len([one for one in started_since(earlier) if "process_request_thread" in one.name]) > limit:
            assert time.monotonic() < within
            time.sleep(0.01)


def test_connection_beyond_the_limit_is_closed_while_all_requests_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST", 2)
    witness = Witness(
        key=SigningKey.generate("w.example"), logs=[], record=WitnessRecord(tmp_path / "state"), now=lambda: 1
    )
    asked, may_answer = threading.Semaphore(0), threading.Event()
    answer = witness.checkpoint

    def slowly(path: str) -> WitnessResponse:
        asked.release()
        may_answer.wait(10)
        return answer(path)

    monkeypatch.setattr(witness, "checkpoint", slowly)
    running = serve(witness, "127.0.0.1", 0, complain=lambda text: None)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    with ExitStack() as held:
        held.callback(running.server_close)
        held.callback(running.shutdown)
        port = running.server_address[1]
        pair = [held.enter_context(connected(port)) for _ in range(2)]
        for one in pair:
            one.sendall(SECOND)
            assert asked.acquire(timeout=10)
        assert exchange(port, SECOND) == b""
        may_answer.set()
        assert all(one.recv(12) == b"HTTP/1.1 404" for one in pair)
        # A connection gives up its place after its response.
        within = time.monotonic() + 10
        while not exchange(port, SECOND).startswith(b"HTTP/1.1 404 "):
            assert time.monotonic() < within


def test_failed_request_is_reported_by_the_class_of_its_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reported: list[str] = []
    witness = Witness(
        key=SigningKey.generate("w.example"), logs=[], record=WitnessRecord(tmp_path / "state"), now=lambda: 1
    )

    def fail(path: str) -> None:
        raise RuntimeError(f"cannot serve {MARKER.decode()}")

    monkeypatch.setattr(witness, "checkpoint", fail)
    running = serve(witness, "127.0.0.1", 0, complain=reported.append)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    try:
        assert exchange(running.server_address[1], SECOND) == b""
    finally:
        running.shutdown()
        running.server_close()
    assert reported == ["a request failed with RuntimeError"]
    assert MARKER.decode() not in capsys.readouterr().err


def test_response_does_not_name_the_server(port: int) -> None:
    assert b"\r\nserver:" not in exchange(port, SECOND).lower()
