"""The hub over HTTP: tokens by the gateway's key, and what each status means."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from contracts.errors import Defect, RateLimited, Unavailable
from kopuro_client.client_key import ClientKey, generate_client_key
from services.gateway.adapters.http_hub import HttpHub
from services.gateway.domain.partner import client_of
from services.gateway.ports import NotAdmitted, Result
from tests.unit.services.gateway.doubles import OSH

SERVICES = {name: f"http://{name}.test" for name in ("directory", "delivery", "intake")}
Answer = Callable[[httpx.Request], httpx.Response]


def refusal(slug: str) -> dict[str, str]:
    return {"error": "invalid_client", "type": f"urn:kopuro:problem:{slug}"}


def unread(answer: httpx.Response) -> httpx.Response:
    """Return the answer as a connection gives it: the body is still to be read."""
    return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content))


class Door:
    """A hub that answers as told. issued: the tokens that it has issued."""

    def __init__(self, directory: Path) -> None:
        discovery = directory / "discovery.json"
        discovery.write_text(json.dumps({"services": SERVICES}), encoding="utf-8")
        private, _ = generate_client_key("gateway-1")
        self.time = 1_800_000_000.0
        self.issued: list[str] = []
        self.assertions: list[str] = []
        self.token_status = 200
        self.token_refusal = refusal("invalid-client")
        self.answer: Answer = lambda _: httpx.Response(200, json={"items": [], "resume": None})
        self.hub = HttpHub(
            discovery,
            ClientKey.from_jwk(private),
            wall_clock=lambda: self.time,
            connections=lambda: httpx.Client(transport=httpx.MockTransport(self._handle)),
        )

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/oauth/token":
            return unread(self.answer(request))
        self.assertions += parse_qs(request.content.decode())["client_assertion"]
        if self.token_status != 200:
            return unread(httpx.Response(self.token_status, json=self.token_refusal))
        self.issued.append(f"t{len(self.issued)}")
        return unread(httpx.Response(200, json={"access_token": self.issued[-1], "expires_in": 600}))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def claims(assertion: str) -> dict[str, object]:
    part = assertion.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_token_is_requested_as_the_organizations_client_and_used_until_it_is_old(door: Door) -> None:
    door.hub.require_admitted(OSH)
    door.hub.require_admitted(OSH)
    assert door.issued == ["t0"]
    assert claims(door.assertions[0])["sub"] == client_of(OSH)
    door.time += 560
    door.hub.require_admitted(OSH)
    assert door.issued == ["t0", "t1"]
    assert claims(door.assertions[0])["jti"] != claims(door.assertions[1])["jti"]


def test_rejected_token_is_renewed_once(door: Door) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        ended = request.headers["Authorization"] == "Bearer t0"
        return httpx.Response(401 if ended else 200, json={"items": [], "resume": None})

    door.answer = answer
    door.hub.require_admitted(OSH)
    assert door.issued == ["t0", "t1"]


def test_service_that_refuses_a_token_just_issued_is_unavailable_and_a_new_token_is_tried(door: Door) -> None:
    """A service that lacks a new token key must neither park submissions nor end anybody's access."""
    door.answer = lambda _: httpx.Response(401, json=refusal("invalid-token"))
    with pytest.raises(Unavailable, match="just issued"):
        door.hub.require_admitted(OSH)
    door.answer = lambda _: httpx.Response(200)
    door.hub.require_admitted(OSH)
    assert door.issued == ["t0", "t1", "t2"]


def test_client_that_is_revoked_is_not_admitted_although_its_token_has_not_expired(door: Door) -> None:
    door.hub.require_admitted(OSH)
    door.answer = lambda _: httpx.Response(401, json=refusal("invalid-token"))
    door.token_status = 401
    with pytest.raises(NotAdmitted):
        door.hub.require_admitted(OSH)


def test_suspended_organization_is_not_admitted_and_a_proxy_that_refuses_is_unavailable(door: Door) -> None:
    door.answer = lambda _: httpx.Response(403, json=refusal("forbidden"))
    with pytest.raises(NotAdmitted):
        door.hub.submit(OSH, [b"{}"], referrals=True)
    door.answer = lambda _: httpx.Response(403, text="<html>")
    with pytest.raises(Unavailable):
        door.hub.submit(OSH, [b"{}"], referrals=True)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, Unavailable),
        (503, Unavailable),
        (502, Unavailable),
        (500, Defect),
        (413, Defect),
        (302, Defect),
    ],
)
def test_status_of_a_service_is_one_kind_of_error(door: Door, status: int, error: type[Exception]) -> None:
    door.answer = lambda _: httpx.Response(status)
    with pytest.raises(error):
        door.hub.submit(OSH, [b"{}"], referrals=True)


def test_hub_that_takes_no_more_of_an_organization_now_says_when_it_takes_more(door: Door) -> None:
    body = refusal("too-many-submissions")
    door.answer = lambda _: httpx.Response(429, json=body, headers={"Retry-After": "17"})
    with pytest.raises(RateLimited) as caught:
        door.hub.submit(OSH, [b"{}"], referrals=True)
    assert caught.value.retry_after == 17
    line = {"line": 1, "status": 429, "problem": {**body, "retry_after": 23}}
    door.answer = lambda _: httpx.Response(200, json=line)
    assert door.hub.submit(OSH, [b"{}"], referrals=True) == [Result(is_unavailable=True, retry_after=23)]


def test_bound_of_one_referral_is_a_refusal_and_holds_up_nothing(door: Door) -> None:
    body = refusal("too-many-statements")
    door.answer = lambda _: httpx.Response(200, json={"line": 1, "status": 429, "problem": body})
    assert door.hub.submit(OSH, [b"{}"], referrals=False) == [Result(problem=body)]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, refusal("invalid-client"), NotAdmitted),
        (400, refusal("unauthorized-client"), NotAdmitted),
        # About the gateway itself: its clock, its requests, what lies between.
        (401, refusal("clock-skew"), Unavailable),
        (400, refusal("invalid-token-request"), Unavailable),
        (403, {}, Unavailable),
        (503, refusal("unavailable"), Unavailable),
    ],
)
def test_only_a_refused_client_is_not_admitted(
    door: Door, status: int, body: dict[str, str], error: type[Exception]
) -> None:
    door.token_status, door.token_refusal = status, body
    with pytest.raises(error):
        door.hub.require_admitted(OSH)


def test_results_of_lines_are_ids_problems_or_unavailable(door: Door) -> None:
    lines = [
        {"line": 1, "status": 202, "id": "s1"},
        {"line": 2, "status": 422, "problem": {"type": "urn:kopuro:problem:invalid-submission"}},
        {"line": 3, "status": 503, "problem": {}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    door.answer = lambda _: httpx.Response(200, text=text)
    admitted, refused, waiting = door.hub.submit(OSH, [b"{}"] * 3, referrals=False)
    assert admitted.submission_id == "s1"
    assert refused.problem == lines[1]["problem"]
    assert waiting.is_unavailable
    with pytest.raises(Unavailable):
        door.hub.submit(OSH, [b"{}"] * 2, referrals=False)


def test_hub_that_does_not_answer_is_unavailable_and_no_url_is_repeated(door: Door) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    door.answer = fail
    with pytest.raises(Unavailable) as unavailable:
        door.hub.page(OSH, after=None, limit=1, wait=0)
    assert "delivery.test" not in str(unavailable.value)


def test_hub_is_asked_for_a_new_password_once_for_each_token(door: Door) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/amqp-password":
            return httpx.Response(200, json={"items": [], "resume": None})
        asked.append(request.headers["Authorization"])
        if len(asked) == 1:
            return httpx.Response(503)
        return httpx.Response(200, json={"waits": True, "password_hash": "AAAA"})

    door.answer = answer
    assert door.hub.new_password(OSH) is None
    door.hub.require_admitted(OSH)
    with pytest.raises(Unavailable):
        door.hub.new_password(OSH)
    assert door.hub.new_password(OSH) == "AAAA"
    assert door.hub.new_password(OSH) is None
    door.time += 560
    door.hub.require_admitted(OSH)
    assert door.hub.new_password(OSH) == "AAAA"
    assert asked == ["Bearer t0", "Bearer t0", "Bearer t1"]


def test_report_of_an_applied_password_is_signed_with_the_gateways_key(door: Door) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"waits": False})

    door.answer = answer
    door.hub.password_applied(OSH, "AAAA")
    (report,) = sent
    assert (report.url.path, json.loads(report.content)) == (
        "/v1/amqp-password/applied",
        {"password_hash": "AAAA"},
    )
    signed = claims(report.headers["Kopuro-Proof"])
    assert (signed["method"], signed["path"]) == ("POST", "/v1/amqp-password/applied")
