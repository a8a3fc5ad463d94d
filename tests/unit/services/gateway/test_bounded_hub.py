"""A hub that answers without end, or byte by byte: the gateway reads to a limit, and others run meanwhile."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.endless_servers import DrippingServer, FloodingServer

OK = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
BOMB = gzip.compress(bytes(64 * 1024 * 1024))
FLOODS = {
    "interim responses": (b"", INTERIM),
    "chunk extensions": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + 600 * b"x" + b"\r\nx\r\n"),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Flood: x\r\n"),
    "body": (OK + b"\r\n", b"x"),
    "compressed body": (
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
        b"x",
    ),
}

# Prints for each discovery file how often another greenlet ran, by how many MiB the process grew, the error.
GATEWAY = """
import sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
import resource
from pathlib import Path
from contracts.errors import Unavailable
from kopuro_client.client_key import ClientKey, generate_client_key
from services.gateway.adapters import http_hub

http_hub.TOTAL_SECONDS = float(sys.argv[1])
key = ClientKey.from_jwk(generate_client_key("gateway-1")[0])
turns = []

def take_turns():
    while True:
        turns.append(None)
        eventlet.sleep(0)

eventlet.spawn(take_turns)
for file in sys.argv[2:]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns.clear()
    try:
        http_hub.HttpHub(Path(file), key).require_admitted("kg.osh-legal-aid")
    except Unavailable as error:
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        print(len(turns), grown, str(error))
"""


def asked(directory: Path, *ports: int, total: float = 60.0) -> list[tuple[int, int, str]]:
    """Return for each server what GATEWAY prints."""
    files = []
    for port in ports:
        files.append(directory / f"{port}.json")
        address = f"http://127.0.0.1:{port}"
        files[-1].write_text(json.dumps({"services": {"directory": address, "delivery": address}}))
    done = subprocess.run(
        [sys.executable, "-c", GATEWAY, str(total), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.count("\n") == len(ports), done.stderr
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    return [(int(ran), int(grown), text) for ran, grown, text in lines]


def test_response_without_end_is_read_to_a_limit_and_others_run(tmp_path: Path) -> None:
    with ExitStack() as running:
        servers = [running.enter_context(FloodingServer(*flood)) for flood in FLOODS.values()]
        found = asked(tmp_path, *(server.port for server in servers))
    for name, (ran, grown, text) in zip(FLOODS, found, strict=True):
        assert ran >= 1, name
        assert grown < 80, name
        assert text.startswith("The hub does not answer"), name
        assert "Timeout" not in text, name


def test_response_that_comes_byte_by_byte_ends_at_the_deadline(tmp_path: Path) -> None:
    with DrippingServer(b"", b"H") as head, DrippingServer(OK + b"Content-Length: 1000000\r\n\r\n") as body:
        found = asked(tmp_path, head.port, body.port, total=1.0)
    assert [text for _, _, text in found] == ["The hub does not answer (TimeoutError)."] * 2
