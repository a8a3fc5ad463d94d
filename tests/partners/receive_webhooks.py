"""An endpoint for webhooks that keeps each request in files: `receive_webhooks.py DIRECTORY`.

It writes its port to `port`, and each request to `N.headers` and then `N.body` (N from 1). It repeats
challenges. A shell verifies the signatures.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

directory = Path(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    """Keep the request; answer a challenge with 200 and anything else with 204."""

    requests = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Handler.requests += 1
        kept = directory / f"{Handler.requests}"
        headers = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
        kept.with_suffix(".headers").write_text(headers, encoding="utf-8")
        kept.with_suffix(".part").write_bytes(body)
        kept.with_suffix(".part").rename(kept.with_suffix(".body"))
        challenge = json.loads(body)["data"].get("challenge")
        answer = b"" if challenge is None else json.dumps({"challenge": challenge}).encode()
        self.send_response(200 if answer else 204)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


server = HTTPServer(("127.0.0.1", 0), Handler)
(directory / "port").write_text(str(server.server_port), encoding="ascii")
server.serve_forever()
