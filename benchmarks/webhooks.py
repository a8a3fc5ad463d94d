"""Webhooks: sent a second, and what one slow endpoint among a hundred does to the others.

`python -m benchmarks.webhooks [--seconds N] [--rounds N]`. A child process is delivery's webhook part as it
runs in the service: greenlets, SQLite, real sockets. Another one receives and notes the times.
`measure_webhooks` compares the first figure with plain FastStream (`peers/faststream_webhooks.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sandbox.temporary_directory import temporary_directory

ENDPOINTS: Final = 100
MESSAGES_A_SECOND: Final = 100
BACKLOG: Final = 2_000
# The slow endpoint takes this long for each answer; the hub waits for fifteen.
SLOW_SECONDS: Final = 10.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run rounds of alternating order and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=["receive", "send"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--slow", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.role == "receive":
        asyncio.run(_receive())
    elif options.role == "send":
        _send(options.port, options.slow, options.seconds)
    else:
        found = [
            {"slow": slow, **_round(slow, options.seconds)}
            for number in range(options.rounds)
            for slow in ((0, 1) if number % 2 == 0 else (1, 0))
        ]
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """rate: webhooks a second from a backlog; cpu_ms: of the sending process, for each webhook."""

    rate: float
    cpu_ms: float


def measure_webhooks(amqp_uri: str) -> dict[str, Sent]:
    """Send a backlog with Kopuro's webhooks and with plain FastStream's. amqp_uri: an empty virtual host."""
    ours: list[str] = [*_PROGRAM, "--role", "send", "--seconds", "0", "--port"]
    peer = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.faststream_webhooks", amqp_uri]
    found = {}
    with receiving() as (port, arrivals):
        sent = _output([*ours, port])
        found["kopuro"] = _sent(sent, arrivals())
    with receiving() as (port, arrivals):
        sent = _output([*peer, f"http://127.0.0.1:{port}/fast", str(BACKLOG)])
        found["faststream"] = _sent(sent, arrivals())
    return found


_PROGRAM = (sys.executable, "-W", "ignore", "-m", "benchmarks.webhooks")


@contextmanager
def receiving() -> Iterator[tuple[str, Any]]:
    """Run a receiver; provide its port, and a function that ends it and returns when each message came."""
    receiver = subprocess.Popen(
        [*_PROGRAM, "--role", "receive"], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )

    def arrivals() -> dict[str, float]:
        found: dict[str, float] = json.loads(receiver.communicate("end\n")[0])
        return found

    try:
        assert receiver.stdout is not None
        yield receiver.stdout.readline().strip(), arrivals
    finally:
        receiver.kill()
        receiver.wait()


def _output(program: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _sent(sent: Mapping[str, Any], arrived: Mapping[str, float]) -> Sent:
    backlog = sent["backlog"]
    missing = [message for message in backlog if message not in arrived]
    if missing:
        raise AssertionError(f"{len(missing)} of {len(backlog)} webhooks did not arrive")
    last = max(arrived[message] for message in backlog)
    return Sent(rate=len(backlog) / (last - sent["started"]), cpu_ms=1000 * sent["cpu"] / len(backlog))


def _round(slow: int, seconds: float) -> Mapping[str, float]:
    """Return p50 and p99 of the seconds from the mailbox to the other endpoints, and notices a second."""
    with receiving() as (port, arrivals):
        sender = [*_PROGRAM, "--role", "send", "--port", port, "--slow", str(slow), "--seconds", str(seconds)]
        sent = _output(sender)
        arrived = arrivals()
    waits = sorted(arrived[message] - at for message, at in sent["steady"].items() if message in arrived)
    last = max(arrived[message] for message in sent["backlog"] if message in arrived)
    return {
        "messages": len(waits),
        "missing": len(sent["steady"]) - len(waits),
        "p50": round(waits[len(waits) // 2], 4),
        "p99": round(waits[int(len(waits) * 0.99)], 4),
        "sent_a_second": round(len(sent["backlog"]) / (last - sent["started"])),
    }


async def _receive() -> None:
    """Answer challenges and notices, those of /slow after a while; print when each message came first."""
    arrived: dict[str, float] = {}
    loop = asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
            identity = head.partition("webhook-id: ")[2].partition("\r\n")[0]
            arrived.setdefault(identity, loop.time())
            if head.startswith("post /slow") and b"webhook.challenge" not in body:
                await asyncio.sleep(SLOW_SECONDS)
            answer = json.dumps(json.loads(body)["data"]).encode()
            head_of_answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(
                answer
            )
            writer.write(head_of_answer + answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the hub has given up, or the run has ended
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.readline)
    sys.stdout.write(json.dumps(arrived))


def _send(port: int, slow: int, seconds: float) -> None:
    """Run the webhooks of a hub: register, steady messages for a while, then a backlog."""
    import eventlet

    eventlet.monkey_patch()
    from benchmarks.webhook_hub import SendingHub

    with temporary_directory("webhooks") as directory:
        hub = SendingHub(directory)
        urls = [f"http://127.0.0.1:{port}/{'slow' if n < slow else 'fast'}?{n}" for n in range(ENDPOINTS)]
        hub.register(urls)
        steady = hub.steadily(seconds, MESSAGES_A_SECOND, excluded=slow)
        cpu = time.process_time()
        started, backlog = hub.at_once(BACKLOG, excluded=slow)
        cpu = time.process_time() - cpu
        hub.stop()
    sys.stdout.write(json.dumps({"steady": steady, "backlog": backlog, "started": started, "cpu": cpu}))


if __name__ == "__main__":
    main()
