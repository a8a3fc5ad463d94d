"""The deadline of requests to witnesses, and how much they may send."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from services.audit.log.adapters.http_witnesses import HttpWitnesses
from services.audit.log.ports import WitnessUnreachable
from tests.endless_servers import DrippingServer, FloodingServer

SECONDS = 0.5

DRIPS = {
    "status line": ("http", b"HTTP/1.1 200", b" "),
    "header": ("http", b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
    "body": ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x"),
    "body that ends with the connection": ("http", b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "chunks": ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "handshake": ("https", b"\x16\x03\x03\x40\x00\x02", b"\0"),
}


@pytest.mark.parametrize(("scheme", "start", "drip"), DRIPS.values(), ids=DRIPS.keys())
def test_dripping_response_ends_at_the_deadline(scheme: str, start: bytes, drip: bytes) -> None:
    with DrippingServer(start, drip, longest=6 * SECONDS) as server:
        started = time.monotonic()
        with pytest.raises(WitnessUnreachable, match="did not answer within"):
            HttpWitnesses(SECONDS).add_checkpoint(f"{scheme}://127.0.0.1:{server.port}", b"old 0\n")
        assert time.monotonic() - started < 2 * SECONDS


OK = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
FLOODS = {
    "interim responses": (b"", INTERIM),
    "header": (OK, b"X-Flood: " + 60_000 * b"x" + b"\r\n"),
    "chunk extensions": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + 60_000 * b"x" + b"\r\nx\r\n"),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Flood: x\r\n"),
}


@pytest.mark.parametrize(("start", "flood"), FLOODS.values(), ids=FLOODS.keys())
def test_response_without_end_is_read_to_a_limit(start: bytes, flood: bytes) -> None:
    with FloodingServer(start, flood) as server:
        with pytest.raises(WitnessUnreachable, match="sent more than 128 KiB"):
            HttpWitnesses().add_checkpoint(f"http://127.0.0.1:{server.port}", b"old 0\n")
        assert server.ended.acquire(timeout=10)


GREENLETS = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
from runtime.bounded_response import BoundedResponse
from services.audit.log.adapters import http_witnesses

BoundedResponse.most = 1 << 40
turns = []

def take_turns():
    while True:
        turns.append(None)
        eventlet.sleep(0)

eventlet.spawn(take_turns)
try:
    http_witnesses.HttpWitnesses(0.5).add_checkpoint(sys.argv[1], b"old 0\\n")
except http_witnesses.WitnessUnreachable as error:
    print("within" in str(error), len(turns) > 20)
"""


def test_others_run_while_a_witness_sends_without_end_and_the_deadline_ends_it() -> None:
    with FloodingServer(b"", INTERIM, longest=6 * SECONDS) as server:
        done = subprocess.run(
            [sys.executable, "-c", GREENLETS, f"http://127.0.0.1:{server.port}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.split() == ["True", "True"], done.stderr
