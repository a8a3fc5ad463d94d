"""Programs of the language pages, run as a partner runs them: in the background, until they are ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx

from tests.journey.running_hub import RunningHub
from tests.partners.page import prepared
from tests.support.node import REPOSITORY, node_directory, packages_directory

# The receivers of the pages.
RECEIVERS: Final = ("receive.mjs", "receive.py", "receive_with_httpx.py")
_PAGES: Final = {".mjs": "node", ".py": "python"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PageProgram:
    """A program of a page that runs. errors: what it has written to stderr."""

    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        """Return what it has printed."""
        return self.output.read_text(encoding="utf-8")


def write_page(program: str, directory: Path) -> None:
    """Write the files of the program's page into the directory."""
    suffix = Path(program).suffix
    if suffix == ".mjs" and not (directory / "node_modules").exists():
        (directory / "node_modules").symlink_to(packages_directory())
    shutil.copy(REPOSITORY / "docs/examples/referral.json", directory)
    page = REPOSITORY / "docs/integrating" / f"{_PAGES[suffix]}.md"
    prepared(page, directory, given={}, installed=lambda _: True)


def command(program: str) -> list[str]:
    """Return the command that runs a program."""
    return [str(node_directory() / "node") if program.endswith(".mjs") else sys.executable, program]


@contextmanager
def running(
    hub: RunningHub, organization: str, program: str, directory: Path, *, discovery: str = ""
) -> Iterator[PageProgram]:
    """Run a program of a page as an organisation of the sandbox within the block.

    discovery: the address of the discovery document, if not the hub's own.
    """
    write_page(program, directory)
    entry = hub.people["organizations"][organization]
    (directory / "sealing-key.json").write_text(json.dumps(entry["sealing_key"]), encoding="utf-8")
    output = directory / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command(program),
            cwd=directory,
            env={
                **os.environ,
                "KOPURO_DISCOVERY_URL": discovery or hub.files.discovery_address(),
                "KOPURO_CLIENT_ID": entry["client_id"],
                "KOPURO_CLIENT_SECRET": entry["client_secret"],
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield PageProgram(process=process, output=output)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class BusyIntake:
    """An address of intake that answers every request with a status; the other services are the hub's own.

    It stands in front of a real hub, because no hub can be made to answer each status on demand.
    """

    def __init__(self, hub: RunningHub) -> None:
        self.status = 503
        self.asked: list[str] = []
        document = httpx.get(hub.files.discovery_address(), timeout=30).json()
        busy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, document)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                busy.asked.append(self.path)
                problem = {"type": "urn:kopuro:problem:busy", "title": "Busy.", "status": busy.status}
                self._answer(busy.status, problem)

            def _answer(self, status: int, body: Mapping[str, object]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/problem+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        document["services"]["intake"] = self.address
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
