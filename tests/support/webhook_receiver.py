"""A real HTTP receiver of webhooks, written from the published description alone."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request. headers: by lower-case name; at: the monotonic time of its arrival."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.document["type"])

    def verify(self, secret: str, public_key: str) -> None:
        """Assert that the secret and the public key verify one signature each."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        signatures = self.headers["webhook-signature"].split(" ")
        mac = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, sha256)
        assert "v1," + base64.b64encode(mac).decode() in signatures
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
        candidates = [text.removeprefix("v1a,") for text in signatures if text.startswith("v1a,")]
        assert any(_verifies(key, base64.b64decode(candidate), signed) for candidate in candidates)


# The status and the body of the answer to a request.
Answering = Callable[[Received], tuple[int, bytes]]


def repeating_challenge(request: Received) -> tuple[int, bytes]:
    """Answer a challenge, and 204 to everything else."""
    if request.type == "kopuro.webhook.challenge":
        return 200, json.dumps({"challenge": request.document["data"]["challenge"]}).encode()
    return 204, b""


class WebhookReceiver:
    """Listens on a port of its own, 127.0.0.1, while the context lasts. answer: may be replaced."""

    def __init__(self, answer: Answering = repeating_challenge, *, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Received(path=self.path, headers=headers, body=body, at=time.monotonic())
                status, content = receiver.answer(request)
                with receiver._arrived:
                    receiver.received.append(request)
                    receiver._arrived.notify_all()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                if 300 <= status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def until(self, condition: Callable[[list[Received]], bool], seconds: float = 30) -> list[Received]:
        """Return what was received when the condition holds. Fails after the time."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: condition(self.received), seconds), [
                request.type for request in self.received
            ]
            return list(self.received)


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except Exception:
        return False
    return True
