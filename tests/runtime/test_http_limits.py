"""Peers that drip, stall, do not read, or open too many connections, on both ports of a service."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from admin.embedded_broker import LOOPBACK
from tests.runtime.hurried import DEADLINE, OPEN_FILES
from tests.runtime.sample_process import SampleProcess

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

_PATIENCE = 20.0  # far beyond every deadline of the process, also on a busy machine
_GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleProcess]:
    """A service whose every deadline is DEADLINE and that may open OPEN_FILES descriptors."""
    directory = tmp_path_factory.mktemp("hurried")
    with SampleProcess(directory, altered_by="tests.runtime.hurried") as process:
        yield process


@pytest.fixture(params=["public", "operations"])
def port(request: pytest.FixtureRequest, hurried: SampleProcess) -> int:
    return hurried.port if request.param == "public" else operations_port(hurried)


def operations_port(process: SampleProcess) -> int:
    return int(process.operations_url.rpartition(":")[2])


def connect(port: int, source: str = LOOPBACK) -> socket.socket:
    """Connect from one of the loopback addresses 127.0.0.0/8."""
    return socket.create_connection((LOOPBACK, port), timeout=_PATIENCE, source_address=(source, 0))


def drip(port: int, start: bytes) -> bytes:
    """Send `start`, then a byte every tenth of a second until the server closes; return what it sent.

    A server that has closed only its sending side may keep the connection. A reset shows that it has ended.
    """
    received = b""
    end = time.monotonic() + _PATIENCE
    with connect(port) as connection:
        connection.sendall(start)
        connection.settimeout(DEADLINE / 10)
        while time.monotonic() < end:
            try:
                connection.sendall(b"x")
                piece = connection.recv(65536)
                received += piece
                if not piece:
                    time.sleep(DEADLINE / 10)
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                return received
    pytest.fail("the connection stayed open")


def status_from(port: int, source: str, path: str = "/healthz") -> int:
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(transport=transport, timeout=_PATIENCE) as client:
        return client.get(f"http://{LOOPBACK}:{port}{path}").status_code


@contextmanager
def sending_ahead(port: int, source: str) -> Iterator[None]:
    """Send requests over one connection without waiting for responses, until the block ends.

    The block begins when a part of them has been answered: from then on, the next ones have arrived.
    """
    ended, begun = threading.Event(), threading.Event()
    with connect(port, source) as connection:

        def send() -> None:
            with suppress(OSError):  # closed at the end of the block
                while not ended.is_set():
                    connection.sendall((_GET + b"\r\n") * 500)

        def receive() -> None:
            received = 0
            with suppress(OSError):
                while piece := connection.recv(1 << 20):
                    received += len(piece)
                    if received > 200_000:
                        begun.set()

        threads = [threading.Thread(target=send), threading.Thread(target=receive)]
        for thread in threads:
            thread.start()
        try:
            assert begun.wait(_PATIENCE)
            yield
            assert all(thread.is_alive() for thread in threads)
        finally:
            ended.set()
            connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def resident_of(process: SampleProcess) -> int:
    """Return the bytes of memory that the process uses."""
    pages = int(Path(f"/proc/{process.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def until_in_flight(process: SampleProcess, count: int) -> None:
    """Return when the process handles this many requests; a connection before its request counts as idle."""
    end = time.monotonic() + _PATIENCE
    while f"kopuro_http_requests_in_flight {float(count)}" not in metrics_of(process):
        assert time.monotonic() < end
        time.sleep(0.05)


def metrics_of(process: SampleProcess) -> str:
    return httpx.get(process.operations_url + "/metrics", timeout=_PATIENCE).text


def test_dripped_head_gets_408_and_closed(port: int) -> None:
    answer = drip(port, _GET + b"X-Name: ")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"urn:kopuro:problem:malformed-request" in answer


def test_silent_connection_is_closed(port: int) -> None:
    with connect(port) as connection:
        assert connection.recv(65536)[:13] in (b"", b"HTTP/1.1 408 ")


def test_kept_connection_is_closed_when_idle(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(_GET + b"\r\n")
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_dripped_body_that_no_resource_reads_ends_the_connection(port: int, framing: bytes) -> None:
    answer = drip(port, _GET + framing + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"]
)
def test_dripped_body_gets_408_and_closed(hurried: SampleProcess, framing: bytes) -> None:
    authorization = hurried.token("partner")["Authorization"].encode()
    head = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization + b"\r\n"
    answer = drip(hurried.port, head + framing)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n"]
)
def test_body_that_is_dripped_after_its_first_segment_gets_408(
    hurried: SampleProcess, framing: bytes
) -> None:
    """The first segment earns the time that it takes at the lowest rate, and no more."""
    authorization = hurried.token("partner")["Authorization"].encode()
    head = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization + b"\r\n"
    answer = drip(hurried.port, head + framing + b"[" + b" " * 65535)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_large_body_at_a_sufficient_rate_is_read_beyond_the_first_deadline(hurried: SampleProcess) -> None:
    """The deadline is a rate, not a duration: the body takes two deadlines."""
    body = json.dumps({"a": "x" * 1_000_000}).encode()

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]
            time.sleep(DEADLINE / 8)

    for announced in ({}, {"Content-Length": str(len(body))}):
        headers = {**hurried.token("partner"), **announced}
        answer = httpx.post(hurried.url + "/v1/echo", content=slowly(), headers=headers, timeout=_PATIENCE)
        assert answer.status_code == 202


def test_response_that_is_not_read_ends_the_connection(hurried: SampleProcess) -> None:
    body = json.dumps({"a": "x" * 1_000_000}).encode()
    authorization = hurried.token("partner")["Authorization"].encode()
    request = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        authorization,
        len(body),
        body,
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(_PATIENCE)
        connection.connect((LOOPBACK, hurried.port))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            # The service stops reading when it cannot send, so sending blocks until it closes.
            for _ in range(50):
                connection.sendall(request)


def test_unread_responses_of_an_address_are_bounded_and_take_no_memory_each(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    request = b"GET /v1/page HTTP/1.1\r\nHost: x\r\n\r\n"
    with SampleProcess(tmp_path_factory.mktemp("unread")) as process, ExitStack() as held:
        assert status_from(process.port, LOOPBACK, "/v1/page") == 200
        before = resident_of(process)
        connections = []
        for _ in range(120):
            connection = held.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(_PATIENCE)
            connection.bind(("127.0.0.9", 0))
            connection.connect((LOOPBACK, process.port))
            connection.sendall(request)
            connections.append(connection)
        statuses = [connection.recv(12)[9:] for connection in connections]
        assert statuses.count(b"200") == 50
        assert statuses.count(b"503") == 70
        assert status_from(process.port, LOOPBACK, "/v1/page") == 200
        # Each of fifty copies would take a megabyte.
        assert resident_of(process) - before < 25 * 1024 * 1024


def test_address_with_most_connections_is_refused_and_others_are_served(hurried: SampleProcess) -> None:
    waiting = b"GET /v1/wait?seconds=8 HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as held:
        for _ in range(OPEN_FILES // 4):
            connection = held.enter_context(connect(hurried.port, "127.0.0.2"))
            connection.sendall(waiting)
        until_in_flight(hurried, OPEN_FILES // 4)
        answer = held.enter_context(connect(hurried.port, "127.0.0.2")).recv(65536)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in answer
        assert b"application/problem+json" in answer
        assert status_from(hurried.port, "127.0.0.3", "/v1/ping") == 200
        assert status_from(operations_port(hurried), "127.0.0.2") == 200


def read_late(connection: socket.socket, more: bytes = b"") -> bytes:
    """Send more once the response has come; return all of it. Raises ConnectionResetError after a reset."""
    connection.recv(1, socket.MSG_PEEK)
    connection.sendall(more)
    received = b""
    while piece := connection.recv(65536):
        connection.sendall(more)
        received += piece
    return received


def test_refused_unread_response_ends_without_a_reset(hurried: SampleProcess) -> None:
    request = b"GET /v1/page HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as held:
        for _ in range(60):
            connection = held.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(_PATIENCE)
            connection.bind(("127.0.0.10", 0))
            connection.connect((LOOPBACK, hurried.port))
            connection.sendall(request * 100)  # sent ahead: the service reads one of them
            if connection.recv(12, socket.MSG_PEEK)[9:] == b"503":
                answer = read_late(connection, request)
                assert b"urn:kopuro:problem:unavailable" in answer
                assert b"Connection: close" in answer
                return
    pytest.fail("no response was refused")


def test_refused_connection_ends_without_a_reset(hurried: SampleProcess) -> None:
    waiting = b"GET /v1/wait?seconds=8 HTTP/1.1\r\nHost: x\r\n\r\n"
    until_in_flight(hurried, 0)  # an earlier test's requests may still wait
    with ExitStack() as held:
        for _ in range(OPEN_FILES // 4):
            held.enter_context(connect(hurried.port, "127.0.0.11")).sendall(waiting)
        until_in_flight(hurried, OPEN_FILES // 4)
        with connect(hurried.port, "127.0.0.11") as connection:
            with suppress(BlockingIOError):  # as much as the service's receive buffer takes
                connection.setblocking(False)
                connection.sendall(bytes(300_000))
            connection.settimeout(_PATIENCE)
            answer = read_late(connection, b"x" * 1000)
        assert answer.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"404"),
        (b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", b"401"),
        (b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"404"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"404"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_response_with_input_left_ends_without_a_reset(
    hurried: SampleProcess, start: bytes, status: bytes
) -> None:
    with connect(hurried.port, "127.0.0.12") as connection:
        connection.sendall(start + b"x" * 20_000)
        answer = read_late(connection, b"x" * 1000)
    assert answer[9:12] == status


@pytest.mark.parametrize("end", ["other-port", "same-port"])
def test_connection_that_sends_requests_ahead_delays_no_other(
    hurried: SampleProcess, port: int, end: str
) -> None:
    ports = {hurried.port, operations_port(hurried)}
    (other,) = ports - {port}
    with sending_ahead(port, "127.0.0.9"):
        assert status_from(port if end == "same-port" else other, LOOPBACK) in (200, 404)


def test_flood_of_idle_connections_locks_nobody_out(hurried: SampleProcess) -> None:
    """Partners and operators are served despite more connections than the process has descriptors."""
    with ExitStack() as held:
        for number in range(2 * OPEN_FILES):
            held.enter_context(connect(hurried.port, f"127.0.1.{number % 8}"))
        for number in range(100):
            held.enter_context(connect(operations_port(hurried), f"127.0.1.{number % 8}"))
        assert status_from(hurried.port, "127.0.0.3", "/v1/ping") == 200
        assert status_from(operations_port(hurried), "127.0.0.3") == 200
    metrics = metrics_of(hurried)
    assert "kopuro_public_connections_refused_total" in metrics
    assert "kopuro_operations_connections" in metrics


def test_lack_of_descriptors_is_logged_once_and_ends_with_its_cause(hurried: SampleProcess) -> None:
    pid = hurried.process.pid
    assert pid is not None
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = hurried.log.read_text().count("accepting a connection failed")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        with connect(hurried.port, "127.0.0.4") as connection:
            connection.settimeout(2 * DEADLINE)
            connection.sendall(b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with pytest.raises(TimeoutError):
                connection.recv(1)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            connection.settimeout(_PATIENCE)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert hurried.log.read_text().count("accepting a connection failed") - before <= 1
