"""Requests that wait in their handlers and are woken together continue in many rounds of the event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import eventlet
import pytest
from eventlet.event import Event
from joserfc.jwk import OKPKey
from prometheus_client import CollectorRegistry

from runtime.access.caller_limits import Share
from runtime.access.clients import RegisteredClient
from runtime.access.gate import Gate
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, TokenVerifier
from runtime.telemetry import trace
from runtime.telemetry.metrics import HttpMetrics
from runtime.web.fair_turns import A_ROUND
from runtime.web.protocol import CONNECTION
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import RESUMED_IN_A_ROUND, Route, Router

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)
SIGNER = TokenSigner(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True), "kopuro:kg")
FLOOD, OTHER = "kg.osh-legal-aid", "uz.tashkent-union"


class Noon:
    def now(self) -> datetime:
        return NOON


class LongPolls:
    """A service with one resource, whose requests wait until `wake`. resumed: who went on in which round."""

    def __init__(self) -> None:
        self._woken = Event()
        self._round = 0
        self.resumed: list[tuple[int, str]] = []
        keys = {"keys": [SIGNER.public_jwk()]}
        clients: dict[str, RegisteredClient] = {}
        verifier = TokenVerifier(lambda: keys, "kopuro:kg", Noon(), clients=clients.get)
        self._clients = clients
        route = Route(
            method="GET",
            url="/x",
            roles=frozenset({"partner"}),
            limit=0,
            handle_request=self._poll,
            share=Share.long_poll,
        )
        gate = Gate(verifier, lambda _organization: False)
        self._router = Router([route], gate, HttpMetrics(CollectorRegistry()))
        self._statuses: list[str] = []

    def begin(self, organization: str, number: int) -> list[Any]:
        """Begin as many requests of the organisation, each from an address of its own."""
        self._clients[organization] = RegisteredClient(
            principal=organization, roles=frozenset({"partner"}), live=True
        )
        principal = Principal(id=organization, roles=frozenset({"partner"}), client_id=organization)
        token = SIGNER.issue(principal, now=NOON)
        return [
            eventlet.spawn(
                self._send, {"REMOTE_ADDR": f"192.0.2.{at}", "HTTP_AUTHORIZATION": f"Bearer {token}"}
            )
            for at in range(number)
        ]

    def wake(self, requests: list[Any]) -> None:
        """Wake all requests together, and go through the rounds until they have ended."""
        self._woken.send()
        while not all(one.dead for one in requests):
            eventlet.sleep(0)
            self._round += 1
        assert self._statuses == ["200 OK"] * len(requests)

    def _send(self, environ: Mapping[str, Any]) -> None:
        whole = {
            "REQUEST_METHOD": "GET",
            "RAW_PATH_INFO": "/x",
            "CONTENT_LENGTH": "0",
            CONNECTION: None,
            **environ,
        }
        self._router(whole, lambda status, headers: self._statuses.append(status))

    def _poll(self, request: Request, _at: trace.Trace, /) -> Response:
        self._woken.wait()
        request.reauthorize()
        self.resumed.append((self._round, request.principal.id))
        return Response.json({})


def test_few_requests_of_one_caller_go_on_in_a_round_from_however_many_addresses() -> None:
    polls = LongPolls()
    requests = polls.begin(FLOOD, 40)
    for _ in range(50):
        eventlet.sleep(0)
    polls.wake(requests)
    assert len(polls.resumed) == 40
    assert max(Counter(polls.resumed).values()) <= A_ROUND


def test_another_caller_that_is_woken_with_them_goes_on_among_the_first() -> None:
    polls = LongPolls()
    requests = polls.begin(FLOOD, 40) + polls.begin(OTHER, 1)
    for _ in range(50):
        eventlet.sleep(0)
    polls.wake(requests)
    assert [who for _, who in polls.resumed].index(OTHER) <= A_ROUND


def test_few_requests_of_all_callers_go_on_in_a_round() -> None:
    polls = LongPolls()
    requests = [one for number in range(60) for one in polls.begin(f"kg.member-{number}", 1)]
    for _ in range(100):
        eventlet.sleep(0)
    polls.wake(requests)
    assert len(polls.resumed) == 60
    assert max(Counter(at for at, _ in polls.resumed).values()) <= RESUMED_IN_A_ROUND
