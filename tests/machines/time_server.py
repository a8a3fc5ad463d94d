"""A machine without access to the internet asks this machine for the time. Source: RFC 5905, 7.3.

chrony only compares in the machine (`-x`): the kernel's clock is this machine's, and nothing may set it.
"""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from pathlib import Path
from typing import Final, Self

_NTP_EPOCH: Final = 2_208_988_800  # seconds from 1900 to 1970
_REQUEST_BYTES: Final = 48
_VERSION: Final = 0b0011_1000
_SERVER: Final = 4
_TRANSMITTED: Final = slice(40, 48)

_ONLY_COMPARE: Final = """\
[Unit]
ConditionCapability=
[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd -x -F 1
"""


class TimeServer:
    """Answers NTP requests on a loopback port while its block runs."""

    def __init__(self) -> None:
        self._server = socketserver.UDPServer(("127.0.0.1", 0), _Answering)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def lend(self, root: Path) -> None:
        """Let the system under `root` compare its clock with this server, once it has chrony."""
        files = {
            "etc/chrony/sources.d/host.sources": f"server 127.0.0.1 port {self.port} iburst\n",
            "etc/systemd/system/chrony.service.d/only-compare.conf": _ONLY_COMPARE,
        }
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="ascii")


class _Answering(socketserver.BaseRequestHandler):
    """Answers one request."""

    def handle(self) -> None:
        request, server = self.request
        received = time.time()
        if len(request) >= _REQUEST_BYTES:
            server.sendto(answer(request, received, time.time()), self.client_address)


def answer(request: bytes, received: float, sent: float) -> bytes:
    """Return the answer of a stratum 1 server whose reference is its own clock. Times are Unix seconds."""
    return (
        struct.pack("!BBbb", request[0] & _VERSION | _SERVER, 1, 6, -20)
        + struct.pack("!II4s", 0, 0, b"LOCL")
        + _timestamp(received)
        + request[_TRANSMITTED]
        + _timestamp(received)
        + _timestamp(sent)
    )


def _timestamp(at: float) -> bytes:
    seconds, fraction = divmod(at + _NTP_EPOCH, 1)
    return struct.pack("!II", int(seconds), int(fraction * 2**32))
