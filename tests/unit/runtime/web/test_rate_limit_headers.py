"""A router counts each organisation's requests, says what is left, and refuses what is beyond."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from eventlet import wsgi
from joserfc.jwk import OKPKey
from prometheus_client import CollectorRegistry

from runtime.access.caller_limits import Share
from runtime.access.clients import RegisteredClient
from runtime.access.gate import Gate
from runtime.access.held_refusals import HeldRefusals
from runtime.access.rate_limits import RequestRates, SubmissionRates, Work
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, TokenVerifier
from runtime.telemetry.metrics import HttpMetrics
from runtime.web.operation import NDJSON, Body, Operation, nothing
from runtime.web.protocol import CONNECTION
from runtime.web.response import Response
from runtime.web.router import Route, Router

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)
SIGNER = TokenSigner(OKPKey.generate_key("Ed25519").as_dict(private=True), "kopuro:kg")
PARTNERS = frozenset({"partner"})
BATCH = Operation(
    summary="Takes lines", responses={204: nothing("Done.")}, body=Body(schema={}, media_type=NDJSON)
)
_PIECE = 64 * 1024
_LARGEST = 8 * 1024 * 1024


class Noon:
    def now(self) -> datetime:
        return NOON


def client_of(client_id: str) -> RegisteredClient:
    return RegisteredClient(principal=client_id.partition("#")[0], roles=PARTNERS, live=True)


class Door:
    """A router with routes for partners and a public one, and three requests at once for each caller.

    The clock stands still.
    """

    per_minute = 18

    def __init__(self) -> None:
        keys = {"keys": [SIGNER.public_jwk()]}
        verifier = TokenVerifier(lambda: keys, "kopuro:kg", Noon(), clients=client_of)
        routes = [
            Route(
                method="GET",
                url=url,
                roles=roles,
                limit=_LARGEST,
                handle_request=lambda _r, _a: self.handle(),
                share=share,
                work=work,
                operation=operation,
            )
            for url, roles, share, work, operation in (
                ("/own", PARTNERS, None, None, None),
                ("/public", None, None, None, None),
                ("/revoke", PARTNERS, Share.credentials, None, None),
                ("/submit", PARTNERS, None, Work.referrals, None),
                ("/batch", PARTNERS, Share.batch, None, BATCH),
            )
        ]
        gate = Gate(verifier, lambda _: False)
        self.submissions = SubmissionRates(per_minute=60, burst=2, clock=lambda: 0.0)
        self._router = Router(
            routes,
            gate,
            HttpMetrics(CollectorRegistry()),
            RequestRates(self.per_minute, lambda: 0.0),
            submissions=self.submissions,
            held=HeldRefusals(most=0, clock=lambda: 0.0),
        )
        self.connection = SimpleNamespace(
            conn_state=[("192.0.2.1", 1), None, wsgi.STATE_REQUEST], close_connection=False, lingers=False
        )

    def handle(self) -> Response:
        return Response.empty()

    def ask(
        self,
        organization: str,
        path: str = "/own",
        query: str = "",
        sent: bytes = b"",
        address: str = "192.0.2.1",
    ) -> tuple[int, dict[str, str], Any]:
        # Several clients of an organisation share its requests.
        principal = Principal(id=organization, roles=PARTNERS, client_id=f"{organization}#{path}{query}")
        answers: list[tuple[str, list[tuple[str, str]]]] = []
        environ = {
            "REQUEST_METHOD": "GET",
            "REMOTE_ADDR": address,
            "RAW_PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_AUTHORIZATION": f"Bearer {SIGNER.issue(principal, now=NOON)}",
            "CONTENT_LENGTH": str(len(sent)),
            "wsgi.input": io.BytesIO(sent),
            CONNECTION: self.connection,
        }
        (body,) = self._router(environ, lambda status, headers: answers.append((status, headers)))
        ((status, headers),) = answers
        return int(status.split()[0]), dict(headers), json.loads(body) if body else None


def test_organization_is_refused_beyond_its_requests_and_others_are_not() -> None:
    door = Door()
    left = [door.ask("kg.a")[1]["RateLimit"].partition(";t=")[0] for _ in range(3)]
    assert left == ['"organization";r=2', '"organization";r=1', '"organization";r=0']
    status, headers, problem = door.ask("kg.a")
    assert (status, problem["type"]) == (429, "urn:kopuro:problem:too-many-requests")
    assert headers["Retry-After"] == "4"
    status, headers, _ = door.ask("kg.b")
    assert (status, headers["RateLimit-Policy"]) == (204, '"organization";q=3;w=10')
    assert door.ask("kg.a")[0] == 429


def test_refused_request_counts_and_public_resource_does_not() -> None:
    door = Door()
    status, headers, _ = door.ask("kg.a", query="unknown=1")
    assert (status, headers["RateLimit"].partition(";t=")[0]) == (400, '"organization";r=2')
    for _ in range(5):
        status, headers, _ = door.ask("kg.a", path="/public")
        assert status == 204
        assert "RateLimit" not in headers


def test_address_is_refused_at_public_resources_beyond_its_requests_and_others_are_not() -> None:
    door = Door()
    assert [door.ask("kg.a", path="/public")[0] for _ in range(12)] == [204] * 12
    status, headers, problem = door.ask("kg.a", path="/public")
    assert (status, problem["type"]) == (429, "urn:kopuro:problem:too-many-requests")
    assert headers["Retry-After"] == "1"
    assert door.ask("kg.a", path="/public", address="198.51.100.7")[0] == 204
    # A caller with a token is not counted by address.
    assert door.ask("kg.a")[0] == 204


def test_address_has_a_share_of_the_process_at_public_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    # Threads, which have no event loop to take turns in.
    monkeypatch.setattr("runtime.web.router.FairTurns.wait", lambda _turns, _caller: None)

    class Busy(Door):
        per_minute = 1_800

        def __init__(self) -> None:
            self.lock, self.active, self.most = threading.Lock(), 0, 0
            self.arrived, self.go_on = threading.Semaphore(0), threading.Event()
            super().__init__()

        def handle(self) -> Response:
            with self.lock:
                self.active += 1
                self.most = max(self.most, self.active)
            self.arrived.release()
            self.go_on.wait(30)
            with self.lock:
                self.active -= 1
            return Response.empty()

    door = Busy()
    flood = [threading.Thread(target=door.ask, args=("kg.a", "/public")) for _ in range(40)]
    for thread in flood:
        thread.start()
    for _ in range(16):
        assert door.arrived.acquire(timeout=30)
    # All 40 have begun, and 16 are worked on. Another address does not wait for them.
    other = threading.Thread(target=door.ask, args=("kg.a", "/public"), kwargs={"address": "198.51.100.7"})
    other.start()
    assert door.arrived.acquire(timeout=30)
    assert door.active == 17
    door.go_on.set()
    for thread in (*flood, other):
        thread.join(30)
    assert door.most == 17


def test_thief_of_a_token_cannot_use_up_the_requests_that_revoke_it() -> None:
    door = Door()
    assert [door.ask("kg.a")[0] for _ in range(4)] == [204, 204, 204, 429]
    assert [door.ask("kg.a", path="/revoke")[0] for _ in range(4)] == [204] * 4


def test_submission_is_refused_when_none_is_left_and_reads_are_not() -> None:
    door = Door()
    status, headers, _ = door.ask("kg.a", path="/submit")
    assert (status, headers["RateLimit-Policy"]) == (204, '"organization";q=3;w=10, "referrals";q=2;w=2')
    assert headers["RateLimit"] == '"organization";r=2;t=4, "referrals";r=2;t=0'
    assert door.submissions.take("kg.a", Work.referrals, 2) == 2
    status, headers, problem = door.ask("kg.a", path="/submit")
    assert (status, headers["Retry-After"]) == (429, "1")
    assert (problem["type"], problem["retry_after"]) == ("urn:kopuro:problem:too-many-submissions", 1)
    assert headers["RateLimit"] == '"organization";r=1;t=7, "referrals";r=0;t=2'
    assert door.ask("kg.a")[0] == 204
    assert door.ask("kg.b", path="/submit")[0] == 204


def test_connection_is_closed_when_too_many_refusals_of_the_caller_are_held() -> None:
    door = Door()
    assert [door.ask("kg.a")[0] for _ in range(23)] == [204] * 3 + [429] * 20
    assert not door.connection.close_connection
    assert door.ask("kg.a")[0] == 429
    assert door.connection.close_connection
    assert door.connection.conn_state[2] == wsgi.STATE_REQUEST


def test_body_counts_as_a_request_for_each_started_piece() -> None:
    for size, left in ((_PIECE, 2), (_PIECE + 1, 1), (3 * _PIECE, 0)):
        status, headers, _ = Door().ask("kg.a", sent=bytes(size))
        assert (status, headers["RateLimit"].partition(";t=")[0]) == (204, f'"organization";r={left}')
    door = Door()
    assert [door.ask("kg.a", sent=bytes(9 * _PIECE))[0] for _ in range(2)] == [204, 429]
    assert door.ask("kg.b")[0] == 204


def test_nested_line_is_refused_while_it_arrives_and_the_connection_is_closed() -> None:
    door = Door()
    status, _, problem = door.ask("kg.a", path="/batch", sent=b"{}\n" + b"[" * (_LARGEST - 3))
    assert (status, problem["type"]) == (413, "urn:kopuro:problem:body-too-large")
    assert door.connection.close_connection
    # It counts as if it had been read: the refusal gives the caller no further attempts.
    assert door.ask("kg.a", path="/batch", sent=b"{}")[0] == 429


def test_many_long_lines_are_read_whole() -> None:
    door = Door()
    assert door.ask("kg.a", path="/batch", sent=(b"[" * 100_000 + b"\n") * 8)[0] == 204
    assert not door.connection.close_connection
