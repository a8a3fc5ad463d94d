"""A RabbitMQ node and a PostgreSQL server that speak TLS with certificates of a private CA."""

from __future__ import annotations

import os
import select
import shutil
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from admin.embedded_broker import LOOPBACK
from sandbox.broker import PrivateBroker
from sandbox.ports import free_ports
from tests import postgres_programs
from tests.journey.waiting import until
from tests.servers import PostgresServer
from tests.support.certificates import Issued, PrivateCa

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)


class TlsBroker:
    """A node that requires client certificates on its TLS port."""

    def __init__(self, node: PrivateBroker, port: int, files: Issued) -> None:
        self.node = node
        self._port = port
        self._files = files

    @property
    def port(self) -> int:
        return self._port

    def uri(self, host: str = LOOPBACK, user: str | None = None) -> str:
        """Return the `amqps://` URI of the node's administrator, or of a user of its hub."""
        parts = urlsplit(self.node.uri if user is None else self.node.uri_of(user))
        return f"amqps://{parts.username}:{parts.password}@{host}:{self._port}{parts.path}"

    def present(self, issued: Issued) -> None:
        """Make the node show another certificate from the next connection on."""
        shutil.copy(issued.certificate, self._files.certificate)
        shutil.copy(issued.key, self._files.key)
        self.node.evaluate("ssl:clear_pem_cache()")


@contextmanager
def tls_broker(directory: Path, ca: PrivateCa, *, hub: str | None = None) -> Iterator[TlsBroker]:
    """Run a node whose certificate the CA signs, and which trusts clients of the same CA.

    hub: the hub whose users and queues the node has, if any.
    """
    files = ca.issue("broker-shown")
    (port,) = free_ports(1)
    settings = directory / "node" / "conf.d"
    settings.parent.mkdir(mode=0o700)
    settings.mkdir()
    (settings / "10-tls.conf").write_text(
        f"listeners.ssl.1 = {LOOPBACK}:{port}\n"
        f"ssl_options.cacertfile = {ca.file}\n"
        f"ssl_options.certfile = {files.certificate}\n"
        f"ssl_options.keyfile = {files.key}\n"
        "ssl_options.verify = verify_peer\n"
        "ssl_options.fail_if_no_peer_cert = true\n"
    )
    with PrivateBroker(directory / "node", hub=hub) as node:
        # The node opens the listener for TLS after the one whose answer shows that it is ready.
        until(partial(listens, port), "the listener for TLS")
        yield TlsBroker(node, port, files)


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port of this machine."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=5).close()
    except OSError:
        return False
    return True


class TlsPostgres:
    """A server that offers TLS: by itself where Debian's is installed, otherwise behind a TLS front."""

    def __init__(self, server: PostgresServer, front: PostgresTlsFront | None) -> None:
        self._server = server
        self._front = front
        self.url = server.create_database()
        if front is not None:
            self.url = self.url.replace(f":{server.port}/", f":{front.port}/")

    def present(self, issued: Issued) -> None:
        """Make the server show a certificate from the next connection on."""
        if self._front is not None:
            self._front.present(issued)
            return
        data = self._server.directory / "data"
        for source, name in ((issued.certificate, "server.crt"), (issued.key, "server.key")):
            target = data / name
            shutil.copy(source, target)
            target.chmod(0o600)
            os.chown(target, data.stat().st_uid, data.stat().st_gid)
        self._server.configure("ALTER SYSTEM SET ssl = on")


@contextmanager
def tls_postgres(issued: Issued) -> Iterator[TlsPostgres]:
    """Run a server that shows the certificate."""
    programs = postgres_programs.installed_with_tls()
    with (
        PostgresServer(programs=programs) as server,
        nullcontext(None) if programs else PostgresTlsFront(server.port) as front,
    ):
        running = TlsPostgres(server, front)
        running.present(issued)
        yield running


class PostgresTlsFront:
    """Ends TLS in front of a server without it, as a load balancer does.

    Source: PostgreSQL, "Message Formats", SSLRequest.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._context: ssl.SSLContext | None = None
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def present(self, issued: Issued) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        self._context = context

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        assert self._context is not None
        with suppress(OSError), client, socket.create_connection((LOOPBACK, self._behind)) as server:
            if client.recv(8) != _SSL_REQUEST:
                return  # nothing is served in the clear
            client.sendall(b"S")
            secure = self._context.wrap_socket(client, server_side=True)
            while True:
                waiting = [secure] if secure.pending() else select.select([secure, server], [], [])[0]
                for source in waiting:
                    data = source.recv(65536)
                    if not data:
                        return
                    (server if source is secure else secure).sendall(data)
