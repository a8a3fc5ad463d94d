"""The witness as a process: requests over its socket, and kills at any moment."""

from __future__ import annotations

import http.client
import random
import signal
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path

from kopuro_client.tlog import SigningKey
from tests.long_run import times
from tests.unit.client.tlog.log_writer import LOG, ORIGIN, WITNESSES, Log, entries
from tests.unit.client.witness.test_witness import body

KILLS = times(6, 200)
GROWING = Log(entries(400), keys=(LOG,))
FORK = Log(entries(400, tree="fork"), keys=(LOG,))


class Running:
    """A process of `kopuro witness serve` on a free port."""

    def __init__(self, folder: Path) -> None:
        key = folder / "key"
        if not key.exists():
            signing = SigningKey(name=WITNESSES[0].name, seed=WITNESSES[0].seed)
            key.write_text(signing.secret_text() + "\n")
        arguments = ["witness", "serve", "--key", str(key), "--log-key", LOG.vkey, "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kopuro_client", *arguments, "--state", str(folder / "state")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words[1:] == ["answers", "as", WITNESSES[0].vkey]
        self.port = int(words[0].rpartition(":")[2])

    def send(
        self, method: str, path: str, content: bytes | None = None, **headers: str
    ) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                method, path, content, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            response = connection.getresponse()
            return response.status, response.read().decode(), response.getheader("Content-Type", "")
        finally:
            connection.close()

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def test_witness_process_serves_and_follows(tmp_path: Path) -> None:
    running = Running(tmp_path)
    last = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert running.send("GET", last)[0] == 404
    assert running.send("POST", "/add-checkpoint", body(0, 5))[0] == 200
    assert running.send("POST", "/add-checkpoint", body(0, 9)) == (409, "5\n", "text/x.tlog.size")
    assert running.send("POST", "/add-checkpoint", body(5, 9, FORK))[0] == 422
    assert running.send("POST", "/add-checkpoint", b"what is this")[0] == 400
    assert running.send("POST", "/add-checkpoint", b"", Content_Length="2000000")[0] == 413
    assert running.send("POST", "/elsewhere", b"")[0] == 404
    status, note, kind = running.send("GET", last)
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert len(note.split("\n\n")[1].splitlines()) == 2
    assert running.send("GET", "/" + "0" * 64 + "/checkpoint")[0] == 404
    assert running.end() == 0


def test_damaged_record_returns_500_and_is_reported(tmp_path: Path) -> None:
    running = Running(tmp_path)
    assert running.send("POST", "/add-checkpoint", body(0, 5))[0] == 200
    (record,) = (tmp_path / "state").glob("*.checkpoint")
    record.write_bytes(record.read_bytes().replace(b"\n5\n", b"\n4\n"))
    assert running.send("POST", "/add-checkpoint", body(4, 9))[0] == 500
    assert running.end() == 0


def test_witness_killed_at_any_moment_never_rolls_back_or_forks(tmp_path: Path) -> None:
    chance = random.Random(9)
    received = 0  # the largest size that a cosignature has been received for
    for _ in range(KILLS):
        running = Running(tmp_path)
        # The record may be ahead of the received cosignatures; the 409 has its size.
        status, text, _ = running.send("POST", "/add-checkpoint", body(0, 0))
        known = int(text) if status == 409 else 0
        assert known >= received
        if known:
            assert running.send("POST", "/add-checkpoint", body(known, known + 1, FORK))[0] == 422
        killer = threading.Timer(chance.uniform(0.0, 0.15), running.process.kill)
        killer.start()
        try:
            while known < len(GROWING.leaves):
                status, text, _ = running.send("POST", "/add-checkpoint", body(known, known + 1, GROWING))
                assert status == 200
                known = received = known + 1
        except (OSError, http.client.HTTPException):
            pass  # killed; the next process shows whether before or after the record was written
        killer.join()
        running.end(signal.SIGKILL)
    assert received
    running = Running(tmp_path)
    assert int(running.send("POST", "/add-checkpoint", body(0, 0))[1]) >= received
    running.end()
