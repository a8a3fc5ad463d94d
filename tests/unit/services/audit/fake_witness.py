"""A witness as specified, over real HTTP, that can also misbehave. It keeps its state in memory.

Source: https://c2sp.org/tlog-witness.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kopuro_client.tlog import ProofError, verify_consistency
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.cosignature import CosignatureVerifier, signed_message
from services.audit.log.domain.merkle import EMPTY_ROOT
from services.audit.log.domain.note import Ed25519Verifier, NoteError, open_note

Reply = tuple[int, bytes]


@dataclass(kw_only=True)
class FakeWitness:
    """A witness. asked: the status of each response so far; reply: overrides the honest response.

    now: POSIX seconds of its clock.
    """

    name: str
    log: Ed25519Verifier
    now: int
    size: int = 0
    root: bytes = EMPTY_ROOT
    asked: list[int] = field(default_factory=list)
    reply: Callable[[bytes], Reply] | None = None

    def __post_init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._deciding = threading.Lock()
        self.verifier = CosignatureVerifier(
            name=self.name, public_key=self._key.public_key().public_bytes_raw()
        )

    def __enter__(self) -> Self:
        witness = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # a body after its head would wait 40 ms for the head's ACK

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = witness.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/prefix"

    def answer(self, path: str, body: bytes) -> Reply:
        with self._deciding:
            reply = self._decide(path, body) if self.reply is None else self.reply(body)
        self.asked.append(reply[0])
        return reply

    def _decide(self, path: str, body: bytes) -> Reply:
        if path != "/prefix/add-checkpoint":
            return 404, b""
        head, _, note = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        try:
            checkpoint = Checkpoint.parse(open_note(note, [self.log]).text)
        except NoteError:
            return 403, b""
        old = int(first.removeprefix("old "))
        if old > checkpoint.size or len(lines) > 63:
            return 400, b""
        if old != self.size:
            return 409, f"{self.size}\n".encode()
        if old == checkpoint.size and self.root != checkpoint.root:
            return 409, f"{self.size}\n".encode()
        try:
            proof = [base64.b64decode(line, validate=True) for line in lines]
            verify_consistency(old, checkpoint.size, proof, self.root, checkpoint.root)
        except ProofError:
            return 422, b""
        self.size, self.root = checkpoint.size, checkpoint.root
        return 200, self.line(checkpoint.format().encode())

    def line(self, text: bytes) -> bytes:
        """Return the signature line of its cosignature over a checkpoint's text."""
        signature = self.now.to_bytes(8, "big") + self._key.sign(signed_message(self.now, text))
        encoded = base64.b64encode(self.verifier.key_id + signature).decode()
        return f"— {self.name} {encoded}\n".encode()
