"""The resources that are open to excluded organisations: a list that grows only on purpose."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import OKPKey
from prometheus_client import CollectorRegistry

from runtime.access.clients import RegisteredClient
from runtime.access.gate import Gate
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, TokenVerifier
from runtime.telemetry import trace
from runtime.telemetry.metrics import HttpMetrics
from runtime.web import router as router_module
from runtime.web.protocol import CONNECTION
from runtime.web.request import Request
from runtime.web.response import Response
from runtime.web.router import Route, Router
from tests.threats.guarded_resources import guarded_resources, routes

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

OSH = "kg.osh-legal-aid"
NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)
KEY = OKPKey.generate_key("Ed25519", private=True)
SIGNER = TokenSigner(KEY.as_dict(private=True), "kopuro:kg")

# Repetitions of submissions and of watch reports get their first answer; the organisation may read its own
# record.
OPEN = {
    "POST /v1/offers/<id>/accept",
    "POST /v1/offers/<id>/decline",
    "POST /v1/referrals",
    "POST /v1/referrals/<id>/case",
    "POST /v1/referrals/<id>/complete",
    "POST /v1/referrals/<id>/consent/revoke",
    "POST /v1/referrals/<id>/hand-back",
    "POST /v1/referrals/<id>/notes",
    "POST /v1/referrals/<id>/progress",
    "POST /v1/referrals/<id>/unreadable",
    "POST /v1/referrals/<id>/withdraw",
    "POST /v1/referrals:batch",
    "POST /v1/submissions:batch",
    "POST /v1/watch/reports",
    "GET /v1/organizations/<id>",
}


class Noon:
    def now(self) -> datetime:
        return NOON


class Standing:
    """A gate before one organisation, which a test can exclude."""

    def __init__(self) -> None:
        self.excluded = False
        keys = {"keys": [SIGNER.public_jwk()]}
        every_role = frozenset({"partner", "coordinator", "auditor", "operator"})
        client = RegisteredClient(principal=OSH, roles=every_role, live=True)
        verifier = TokenVerifier(lambda: keys, "kopuro:kg", Noon(), clients={"desk": client}.get)
        self.gate = Gate(verifier, lambda organization: self.excluded and organization == OSH)

    def ask(
        self,
        route: Route,
        handle: Callable[[Request], Response],
        role: str = "partner",
        **environment: object,
    ) -> tuple[int, Mapping[str, Any]]:
        """Send a request with a token of the role to the route, handled by `handle`."""

        def handle_request(request: Request, _at: trace.Trace, /) -> Response:
            return handle(request)

        router = Router(
            [replace(route, url="/x", query=frozenset(), handle_request=handle_request)],
            self.gate,
            HttpMetrics(CollectorRegistry()),
        )
        principal = Principal(id=OSH, roles=frozenset({role}), client_id="desk")
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": route.method,
            "REMOTE_ADDR": "192.0.2.1",
            "RAW_PATH_INFO": "/x",
            "HTTP_AUTHORIZATION": f"Bearer {SIGNER.issue(principal, now=NOON)}",
            "CONTENT_LENGTH": "0",
            CONNECTION: None,
            **environment,
        }
        (body,) = router(environ, lambda status, headers: statuses.append(status))
        return int(statuses[0].split()[0]), json.loads(body)


class SlowBody:
    """A body of two bytes, in whose second byte its organisation is excluded."""

    def __init__(self, standing: Standing, moments: list[float], seconds: float) -> None:
        self._standing = standing
        self._moments = moments
        self._seconds = seconds
        self._left = [b"{", b"}"]

    def read(self, size: int) -> bytes:
        if len(self._left) == 1:
            self._standing.excluded = True
            self._moments.append(self._moments[-1] + self._seconds)
        return self._left.pop(0)


def _excluded_of(request: Request) -> Response:
    return Response.json({"excluded": request.principal.excluded})


PARTNERS = [route for route in routes() if route.roles is not None and "partner" in route.roles]


def test_open_resources_are_those_of_the_list() -> None:
    assert len(guarded_resources()) > 35
    assert {f"{route.method} {route.template}" for route in routes() if route.open_to_excluded} == OPEN


@pytest.mark.parametrize("route", PARTNERS, ids=lambda route: f"{route.method} {route.template}")
def test_resource_refuses_excluded_organization_unless_it_is_open(route: Route) -> None:
    standing = Standing()
    assert standing.ask(route, _excluded_of) == (200, {"excluded": False})
    standing.excluded = True
    status, body = standing.ask(route, _excluded_of)
    if f"{route.method} {route.template}" in OPEN:
        assert (status, body) == (200, {"excluded": True})
    else:
        assert (status, body["type"]) == (403, "urn:kopuro:problem:forbidden")


def test_handler_that_waited_asks_the_gate_again() -> None:
    standing = Standing()

    def wait(request: Request) -> Response:
        request.reauthorize()
        standing.excluded = True
        request.reauthorize()
        return Response.json({})

    (mailbox,) = [route for route in PARTNERS if route.url == "/v1/mailbox"]
    status, body = standing.ask(mailbox, wait)
    assert (status, body["type"]) == (403, "urn:kopuro:problem:forbidden")


@pytest.mark.parametrize("seconds", [0.2, 0.3, 500.0])
def test_caller_is_admitted_again_after_a_slow_body(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    standing, moments = Standing(), [1000.0]
    monkeypatch.setattr(
        router_module,
        "time",
        SimpleNamespace(monotonic=lambda: moments[-1], perf_counter=time.perf_counter, time_ns=time.time_ns),
    )
    (acknowledging,) = [route for route in PARTNERS if route.url == "/v1/mailbox:acknowledge"]
    body = SlowBody(standing, moments, seconds)
    slow: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": "2", "CONTENT_TYPE": "application/json"}
    status, _ = standing.ask(acknowledging, lambda _request: Response.json({}), **slow)
    assert standing.excluded
    assert status == (200 if seconds < 0.25 else 403)
