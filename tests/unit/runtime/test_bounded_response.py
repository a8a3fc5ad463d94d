"""Responses without end: they are read to a limit, and others run meanwhile."""

from __future__ import annotations

import http.client
import subprocess
import sys

import pytest

from runtime.bounded_response import BoundedResponse, ResponseTooLarge
from tests.endless_servers import FloodingServer

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def connection(port: int) -> http.client.HTTPConnection:
    made = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    made.response_class = BoundedResponse
    return made


def test_response_is_read_after_its_connection_was_closed() -> None:
    body = b"x" * 100_000
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
    with FloodingServer(head + body, b"y") as server:
        one = connection(server.port)
        one.request("GET", "/")
        response = one.getresponse()
        assert one.sock is None
        assert response.read() == body
        assert server.ended.acquire(timeout=10), "the end of the body closes the socket"


@pytest.mark.parametrize(
    ("start", "flood"),
    [
        (b"", INTERIM),
        (CHUNKED, b"1;" + 60_000 * b"x" + b"\r\nx\r\n"),
        (CHUNKED + b"0\r\n", b"X-Flood: x\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["interim responses", "chunk extensions", "trailers", "body"],
)
def test_response_without_end_is_read_to_a_limit(start: bytes, flood: bytes) -> None:
    with FloodingServer(start, flood) as server:
        one = connection(server.port)
        one.request("GET", "/")
        with pytest.raises(ResponseTooLarge):
            one.getresponse().read()
        one.close()
        assert server.ended.acquire(timeout=10)


GREENLETS = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
turns = []

def take_turns():
    while True:
        turns.append(None)
        eventlet.sleep(0)

kind, place = sys.argv[1:]
if kind == "management":
    from runtime.messaging.rabbit.management_http import ManagementHttp
    ask = lambda: ManagementHttp(f"http://user:password@{place}", None, api="The API").send("GET", "/users")
else:
    from runtime.telemetry.otlp_session import StatusOnlySession
    ask = lambda: StatusOnlySession().post(f"http://{place}/v1/traces", data=b"spans", timeout=10)
eventlet.spawn(take_turns)
try:
    ask()
except Exception as error:
    print("ResponseTooLarge" in str(error), len(turns) >= 5)
"""


@pytest.mark.parametrize("kind", ["management", "spans"])
def test_others_run_while_a_server_sends_without_end(kind: str) -> None:
    with FloodingServer(b"", INTERIM) as server:
        done = subprocess.run(
            [sys.executable, "-c", GREENLETS, kind, f"127.0.0.1:{server.port}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == ["True", "True"], done.stderr
