"""The witness over HTTP: `POST /add-checkpoint`, `GET /<origin hash>/checkpoint`."""

from __future__ import annotations

import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from kopuro_client.errors import ClientError
from kopuro_client.tlog.errors import MalformedError
from kopuro_client.tlog.note import MAX_NOTE_BYTES
from kopuro_client.witness.request import AddCheckpoint
from kopuro_client.witness.witness import Answer, Witness

SILENCE: Final = 30.0  # seconds after which a connection that says nothing is closed
MAX_BODY: Final = MAX_NOTE_BYTES + 4_096  # a note, and a proof of 63 lines before it
_LAST: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")


def serve(witness: Witness, host: str, port: int, *, complain: Callable[[str], None]) -> ThreadingHTTPServer:
    """A server that listens already; run its `serve_forever`.

    complain: told what a person should look at. Raises OSError where it cannot listen.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = SILENCE
        server_version = "kopuro-witness"
        sys_version = ""

        def do_POST(self) -> None:
            if self.path != "/add-checkpoint":
                self._send(Answer(status=404, body="there is nothing here\n"))
                return
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit()):
                self._refuse(Answer(status=411, body="a Content-Length is needed\n"))
            elif len(length) > 9 or int(length) > MAX_BODY:
                self._refuse(Answer(status=413, body="a checkpoint is never that long\n"))
            else:
                body = self.rfile.read(int(length))
                self._send(self._guarded(lambda: witness.add_checkpoint(AddCheckpoint.parse(body))))

        def do_GET(self) -> None:
            match = _LAST.fullmatch(self.path)
            if match is None:
                self._send(Answer(status=404, body="there is nothing here\n"))
            else:
                self._send(self._guarded(lambda: witness.checkpoint(match[1])))

        def _guarded(self, answer: Callable[[], Answer]) -> Answer:
            try:
                return answer()
            except MalformedError as error:
                return Answer(status=400, body=f"{error}\n")
            except ClientError as error:
                complain(str(error))
                return Answer(status=500, body="the witness cannot answer; its operator has been told\n")

        def _refuse(self, answer: Answer) -> None:
            # The body is left unread: the connection cannot be used again.
            self.close_connection = True
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            content = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: who asked what is the record's to say."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server
