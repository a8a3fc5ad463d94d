"""The time server of a machine without access to the internet."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path

from tests.machines.time_server import TimeServer, answer

REQUEST = struct.pack("!B39x8s", 0b00_100_011, b"sent-by-")  # version 4, client


def test_answer_has_the_request_s_time_and_the_server_s() -> None:
    written = answer(REQUEST, 1.5, 2.25)

    assert len(written) == 48
    assert (written[0], written[1]) == (0b00_100_100, 1)  # version 4, server; stratum 1
    assert written[24:32] == b"sent-by-"
    assert struct.unpack("!IIII", written[32:]) == (2_208_988_801, 2**31, 2_208_988_802, 2**30)


def test_server_states_the_clock_of_this_machine(tmp_path: Path) -> None:
    with TimeServer() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        server.lend(tmp_path)
        client.settimeout(10)
        client.sendto(REQUEST, ("127.0.0.1", server.port))
        told = struct.unpack("!I", client.recv(512)[40:44])[0] - 2_208_988_800

    assert abs(told - time.time()) < 2
    assert f"port {server.port} " in (tmp_path / "etc/chrony/sources.d/host.sources").read_text()
