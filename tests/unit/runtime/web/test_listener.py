"""The options of accepted connections."""

from __future__ import annotations

import socket

from runtime.web.listener import prepare


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
