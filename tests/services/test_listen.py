"""`kopuro listen` against a real delivery, over a link that is cut again and again.

KOPURO_LISTEN_SECONDS and KOPURO_LISTEN_MESSAGES make the run longer, such as 300 and 300.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.facts import OfferRevoked
from kopuro_client.connection import Connection
from kopuro_client.discovery import Discovery
from kopuro_client.listening.lanes import Lanes
from kopuro_client.listening.listener import Listener
from kopuro_client.listening.stopping import Stopped, Stopping
from kopuro_client.listening.target import HttpTarget
from kopuro_client.resources.mailbox import Mailbox
from kopuro_client.retrying import RetryPolicy
from kopuro_client.transport import Transport
from runtime.messaging.ports import PublishIncomplete
from tests.faults.tcp_proxy import TcpProxy
from tests.services.neighbours import ACCEPTOR, Neighbours, revoked
from tests.support.partners import Partner, signed_token

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

SECONDS = float(os.environ.get("KOPURO_LISTEN_SECONDS", "3"))
MESSAGES = int(os.environ.get("KOPURO_LISTEN_MESSAGES", "40"))
CUTS = max(3, int(SECONDS / 10))
LONGEST = 60.0


class Endpoint:
    """An endpoint that fails at random, and refuses the first message that it gets until it is mended."""

    def __init__(self) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.refused: str | None = None
        self.refusals = 0
        self.mended = False
        chance = random.Random(7)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                event = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.refused = endpoint.refused or event["id"]
                if event["id"] == endpoint.refused and not endpoint.mended:
                    endpoint.refusals += 1
                    status = 422
                elif chance.random() < 0.2:
                    status = 500
                else:
                    endpoint.accepted.append(event)
                    status = 204
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


class _SignedTokens:
    """Tokens as the directory gives them."""

    def __init__(self, hub: Neighbours) -> None:
        self._hub = hub

    def current(self) -> str:
        return signed_token(self._hub.signer, ACCEPTOR)

    def discard(self, token: str) -> None:
        pass


def mailbox_at(url: str, hub: Neighbours, stopping: Stopping) -> Mailbox:
    transport = Transport(
        retry=RetryPolicy(attempts=10**9, longest_delay=0.5, patience=float("inf")),
        answer_limit=2.0,
        sleep=stopping.sleep,
    )
    tokens: Any = _SignedTokens(hub)
    key: Any = {}
    found = Discovery(hub="kg", version="1", services={"delivery": url}, custody_key=key)
    return Mailbox(found, Connection(transport, tokens))


def test_every_message_arrives_over_a_link_that_is_cut_and_random_failures(
    hub_vhost: str, tmp_path: Path, sqlite_database: str, endpoint: Endpoint
) -> None:
    hub, stopping = Neighbours(hub_vhost, tmp_path), Stopping()
    notes: list[str] = []
    facts = [revoked() for _ in range(MESSAGES)]
    with hub.delivery(sqlite_database) as delivery:
        delivery.until_ready()
        own = hub.partner(ACCEPTOR, delivery)
        with TcpProxy(delivery.url) as proxy:
            port = proxy.uri.rsplit(":", 1)[1].rstrip("/")
            mailbox = mailbox_at(f"http://127.0.0.1:{port}", hub, stopping)
            mailbox.put_consumer("case-system")
            listener = Listener(
                mailbox,
                HttpTarget(endpoint.url),
                stopping=stopping,
                note=notes.append,
                lost=float,
                consumer="case-system",
                lanes=Lanes(jitter=lambda: 0.2),
            )
            thread = threading.Thread(target=lambda: _until_stopped(listener))
            thread.start()
            for number in range(CUTS):
                publish(hub, facts[number::CUTS])
                time.sleep(SECONDS / CUTS)
                proxy.reset_all() if number % 2 else proxy.break_all()
            until_all(lambda: len({event["data"]["offer_id"] for event in endpoint.accepted}) >= MESSAGES - 1)
            # Only the refused message is left. It is tried again and again, and arrives after a repair.
            until_all(lambda: [m["id"] for m in waiting(own)] == [endpoint.refused] and endpoint.refusals > 2)
            endpoint.mended = True
            until_all(lambda: not waiting(own))
            publish(hub, [revoked()])  # wakes the long poll
            stopping.requested = True
            thread.join(LONGEST)
            assert not thread.is_alive()
        everything = own.mailbox(limit=200)["items"]
    arrived = {event["id"]: event for event in endpoint.accepted}
    assert {event["data"]["offer_id"] for event in arrived.values()} >= {fact.offer_id for fact in facts}
    assert [arrived[m["id"]] for m in everything if m["id"] in arrived] == [
        m for m in everything if m["id"] in arrived
    ]
    assert proxy.connections > CUTS
    assert any(f"{endpoint.refused} (" in note and "responded 422" in note for note in notes)


def publish(hub: Neighbours, facts: Sequence[OfferRevoked]) -> None:
    """Publish facts as an outbox does: again, if the broker did not confirm them."""
    deadline = time.monotonic() + LONGEST
    while True:
        try:
            return hub.publish_all(list(facts))
        except PublishIncomplete:
            assert time.monotonic() < deadline


def waiting(own: Partner) -> list[dict[str, Any]]:
    """Return what the consumer has not acknowledged."""
    items: list[dict[str, Any]] = own.mailbox(consumer="case-system")["items"]
    return items


def _until_stopped(listener: Listener) -> None:
    try:
        listener.run()
    except Stopped:
        return


def until_all(condition: Any) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
