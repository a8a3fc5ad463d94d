"""A fake hub that sends scripted responses over a real socket."""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kopuro_client import generate_key, public_key

SERVICES = ("intake", "directory", "routing", "delivery", "audit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A received request. path: with the service it was sent to, such as /intake/v1/referrals."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A response. cut: close the connection in the middle of the body. chunks: stream this body instead."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    chunks: Callable[[], Iterator[bytes]] | None = None


def problem(status: int, slug: str, title: str, **more: object) -> Response:
    body = {"type": f"urn:kopuro:problem:{slug}", "title": title, "status": status, **more}
    return Response(
        status=status, body=json.dumps(body).encode(), headers={"Content-Type": "application/problem+json"}
    )


def json_response(body: object, *, status: int = 200, **headers: str) -> Response:
    """Return a JSON response. Underscores in a header's name become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        status=status, body=json.dumps(body).encode(), headers={"Content-Type": "application/json", **named}
    )


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection, as some tests do. Report any other error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class FakeHub:
    """Sends a path's scripted responses in order, and repeats the last one.

    By default serves discovery and tokens ("token-1", "token-2", ...); tests may script these, too.
    otherwise: the response for paths without a script.
    """

    def __init__(self, port: int = 0) -> None:
        """port: 0 chooses a free one."""
        self.custody_key = generate_key()
        self.received: list[Received] = []
        self.token_lifetime = 900.0
        self.otherwise = problem(404, "not-found", "Not found, or you do not have access")
        self._scripts: dict[tuple[str, str], deque[Response | Callable[[], Response]]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._tokens_given = 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a body after its head would wait 40 ms for the head's ACK

            def do_GET(self) -> None:
                self._respond()

            def do_POST(self) -> None:
                self._respond()

            def do_PATCH(self) -> None:
                self._respond()

            def do_PUT(self) -> None:
                self._respond()

            def do_DELETE(self) -> None:
                self._respond()

            def _respond(self) -> None:
                parts = urlsplit(self.path)
                request = Received(
                    method=self.command,
                    path=parts.path,
                    query={name: values[-1] for name, values in parse_qs(parts.query).items()},
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
                )
                reply = hub._next(request)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunks is not None:
                    self.send_header("Transfer-Encoding", "chunked")
                elif reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if reply.chunks is not None:
                    for chunk in chain(reply.chunks(), [b""]):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                else:
                    self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
                self.close_connection = self.close_connection or reply.cut

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing, to keep the tests' output clean."""

        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.discovery = {
            "hub": "kg",
            "version": "1",
            "services": {service: f"{self.base}/{service}" for service in SERVICES},
            "custody_key": public_key(self.custody_key),
            "sandbox": True,
        }
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.base}/.well-known/kopuro"

    def script(self, method: str, path: str, *responses: Response | Callable[[], Response]) -> None:
        self._scripts[method, path].extend(responses)

    def requests_to(self, path: str) -> list[Received]:
        return [request for request in self.received if request.path == path]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: Received) -> Response:
        with self._lock:
            self.received.append(request)
            script = self._scripts[request.method, request.path]
            scripted = (script.popleft() if len(script) > 1 else script[0]) if script else None
        if scripted is not None:
            return scripted() if callable(scripted) else scripted
        if request.path == "/.well-known/kopuro":
            return json_response(self.discovery)
        if request.path == "/directory/oauth/token":
            self._tokens_given += 1
            token = f"token-{self._tokens_given}"
            return json_response(
                {"access_token": token, "token_type": "Bearer", "expires_in": self.token_lifetime}
            )
        return self.otherwise
