"""The witness's server over raw sockets: one request per connection, no ambiguous requests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kopuro_client.tlog.keys import SigningKey
from kopuro_client.witness import Witness, WitnessRecord, serve, server
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


def test_slow_client_is_disconnected(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TOTAL", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + b"Content-Length: 1000\r\n\r\n")
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
