"""Invalid input at the public API: each kind has its status, problem type and pointers, and is not logged."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from contracts.records import plain
from kopuro_client import generate_key, seal
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, audience_of, issuer_of
from sandbox.hub_files import HUB
from services.directory.domain.client_assertion import ASSERTION_TYPE
from tests.journey.running_hub import STRANGER, RunningHub
from tests.support import hostile_tokens

# Refusals do not depend on the database.
on_sqlite = pytest.mark.parametrize("hub", ["sqlite"], indirect=True)

KEY = "wage-claim-osh-moscow"
SENDER = "kg.osh-legal-aid"
MARKER = "Zhyrgalbek-Unutulgus"
JSON = {"Content-Type": "application/json"}
PROBLEM = "urn:kopuro:problem:"

Document = dict[str, Any]
Change = Callable[[Document], Document]


def _with(**members: Any) -> Change:
    return lambda document: {**document, **members}


def _consent(**members: Any) -> Change:
    return lambda document: {**document, "consent": {**document["consent"], **members}}


def _without(name: str) -> Change:
    return lambda document: {key: value for key, value in document.items() if key != name}


def _sealed_to_a_stranger(document: Document) -> Document:
    return {**document, "case": seal({"name": MARKER}, generate_key())}


WRONG_DOCUMENTS: Mapping[str, tuple[Change, str, str]] = {
    "an unknown field": (_with(nickname=MARKER), "invalid-submission", "/nickname"),
    "a wrong type": (_with(needs=MARKER), "invalid-submission", "/needs"),
    "a number for a text": (_with(urgency=7), "invalid-submission", "/urgency"),
    "no needs": (_with(needs=[]), "invalid-submission", "/needs"),
    "an unknown need": (_with(needs=["legal.wage_claim", MARKER]), "invalid-submission", "/needs/1"),
    "an unknown urgency": (_with(urgency=MARKER), "invalid-submission", "/urgency"),
    "an unknown region": (_with(region="RU-XXX"), "invalid-submission", "/region"),
    "an unknown language": (_with(languages=["ru", "xx-Qqqq"]), "invalid-submission", "/languages/1"),
    "an unknown category": (
        _with(special_categories=[MARKER]),
        "invalid-submission",
        "/special_categories/0",
    ),
    "no consent": (_without("consent"), "invalid-submission", "/consent"),
    "consent not given": (_consent(given=False), "invalid-submission", "/consent/given"),
    "an unknown kind opted in": (
        _consent(opt_in_kinds=[MARKER]),
        "invalid-submission",
        "/consent/opt_in_kinds/0",
    ),
    "a time without a zone": (
        _consent(given_at="2026-01-01T10:00:00"),
        "invalid-submission",
        "/consent/given_at",
    ),
    "no case": (_without("case"), "invalid-submission", "/case"),
    "a case in the open": (_with(case={"name": MARKER}), "invalid-submission", "/case"),
    "a case that is not sealed": (_with(case=MARKER), "invalid-submission", "/case"),
    "a case sealed to another key": (_sealed_to_a_stranger, "case-not-sealed", "/case"),
    "a case sealed to the hub for a named receiver": (
        _with(to="kz.steppe-lantern"),
        "case-not-sealed",
        "/case",
    ),
    "an unknown receiver": (_with(to="kz.nobody-of-that-name"), "unknown-organization", "/to"),
}


@on_sqlite
@pytest.mark.parametrize("wrong", WRONG_DOCUMENTS)
def test_invalid_document_is_refused_with_pointers(hub: RunningHub, wrong: str) -> None:
    change, kind, pointer = WRONG_DOCUMENTS[wrong]

    problem = _refused(hub, json.dumps(change(_document(hub))).encode(), status=422, kind=kind)

    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert all(error["detail"] for error in problem["errors"])


UNREADABLE = {
    "nothing": (b"", 400, "malformed-json"),
    "half a document": (f'{{"needs": ["{MARKER}"'.encode(), 400, "malformed-json"),
    "not UTF-8": (b'{"needs": "' + MARKER.encode() + b'\xff\xfe"}', 400, "malformed-json"),
    "not a number": (b'{"needs": NaN}', 400, "malformed-json"),
    "a NUL character": (f'{{"needs": ["{MARKER}\\u0000"]}}'.encode(), 400, "malformed-json"),
    "ten thousand levels": (b"[" * 10_000 + b"]" * 10_000, 400, "malformed-json"),
    "ten thousand objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "malformed-json"),
    "ten megabytes": (b'{"case": "' + MARKER.encode() * 500_000 + b'"}', 413, "body-too-large"),
    "a list": (f'["{MARKER}"]'.encode(), 422, "invalid-submission"),
    "a text": (f'"{MARKER}"'.encode(), 422, "invalid-submission"),
}


@on_sqlite
@pytest.mark.parametrize("unreadable", UNREADABLE)
def test_body_that_is_not_a_document_is_refused(hub: RunningHub, unreadable: str) -> None:
    body, status, kind = UNREADABLE[unreadable]
    _refused(hub, body, status=status, kind=kind)


@on_sqlite
def test_idempotency_key_with_another_body_is_a_conflict(hub: RunningHub) -> None:
    key = str(uuid.uuid4())
    body = json.dumps(_document(hub)).encode()
    other = json.dumps(_document(hub, accepts_cost=True)).encode()

    first = _post(hub, body, {"Idempotency-Key": key})
    assert _post(hub, body, {"Idempotency-Key": key}).json() == first.json()
    _refused(hub, other, status=409, kind="idempotency-conflict", headers={"Idempotency-Key": key})
    hub.organization(SENDER).hub.withdraw(first.json()["id"], "entered_in_error")


def _expired(hub: RunningHub) -> str:
    signer = TokenSigner(
        json.loads(hub.files.key("token").read_text(encoding="utf-8")),
        issuer_of(HUB, hub.address("directory")),
        audience_of(HUB),
    )
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    return signer.issue(Principal(id=SENDER, roles=frozenset({"partner"})), now=yesterday)


def _damaged(hub: RunningHub) -> str:
    header, _, signature = hub.token(SENDER).split(".")
    _, claims, _ = hub.token("operator").split(".")
    return ".".join((header, claims, signature))


def _of_another_signer(hub: RunningHub) -> str:
    return ".".join([*hub.token(SENDER).split(".")[:2], "A" * 86])


TOKENS: Mapping[str, tuple[Callable[[RunningHub], str], int, str]] = {
    "none": (lambda hub: "", 401, "missing-token"),
    "a word": (lambda hub: MARKER, 401, "invalid-token"),
    "with the claims of another": (_damaged, 401, "invalid-token"),
    "signed with another key": (_of_another_signer, 401, "invalid-token"),
    "expired": (_expired, 401, "expired-token"),
    "the auditor's": (lambda hub: hub.token("auditor"), 403, "forbidden"),
    "the coordinator's": (lambda hub: hub.token("coordinator"), 403, "forbidden"),
}


@on_sqlite
@pytest.mark.parametrize("token", TOKENS)
def test_submission_without_permission_is_refused(hub: RunningHub, token: str) -> None:
    make, status, kind = TOKENS[token]
    authorization = {"Authorization": f"Bearer {make(hub)}".strip()}

    _refused(hub, json.dumps(_document(hub)).encode(), status=status, kind=kind, headers=authorization)


@on_sqlite
@pytest.mark.parametrize(
    ("service", "path"),
    [("routing", "/v1/coordination/unplaced"), ("intake", "/v1/referrals"), ("delivery", "/v1/mailbox")],
)
def test_wrong_client_secret_gets_no_token(hub: RunningHub, service: str, path: str) -> None:
    answer = httpx.post(
        f"{hub.address('directory')}/oauth/token",
        data={"grant_type": "client_credentials", "client_id": SENDER, "client_secret": MARKER},
    )
    # OAuth libraries look for the media type of RFC 6749 and for its `error`.
    problem = _is_problem(hub, answer, status=401, kind="invalid-client", media_type="application/json")
    assert problem["error"] == "invalid_client"
    assert httpx.get(f"{hub.address(service)}{path}").status_code == 401


@on_sqlite
def test_hostile_tokens_cost_a_service_little_cpu_and_no_memory(hub: RunningHub) -> None:
    """At every interface: tokens, submissions, batches of both kinds, and uploaded keys.

    AMQP: tests/threats.
    """
    submission, token = _document(hub), {"Authorization": f"Bearer {hub.token(SENDER)}"}
    note = {"submit": "note", "referral_id": str(uuid.uuid4())}
    client = hub.people["organizations"][SENDER]["client_id"]
    directory, intake = hub.address("directory"), hub.address("intake")
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}

    def batched(http: httpx.Client, kind: str, document: Document) -> int:
        headers = {**token, "Content-Type": "application/x-ndjson"}
        answer = http.post(f"{intake}/v1/{kind}:batch", content=json.dumps(document), headers=headers)
        if answer.status_code != 200:
            return answer.status_code
        (line,) = answer.text.splitlines()
        return int(json.loads(line)["status"])

    def send_all(http: httpx.Client) -> list[int]:
        answers, of_lines = [], []
        for key in hostile_tokens.KEYS.values():
            set_of_keys, one_key = (json.dumps(keys).encode() for keys in ({"keys": [key]}, key))
            upload = f"{directory}/v1/credentials/{client}/keys"
            answers += [
                http.put(upload, content=set_of_keys, headers={**JSON, **token}),
                http.post(f"{directory}/v1/keys", content=one_key, headers={**JSON, **token}),
            ]
        for text in hostile_tokens.TOKENS.values():
            case = json.dumps({**submission, "case": text}).encode()
            answers += [
                http.post(f"{directory}/oauth/token", data={**form, "client_assertion": text}),
                http.post(f"{intake}/v1/referrals", content=case, headers={**JSON, **token}),
            ]
            of_lines += [
                batched(http, "referrals", {**submission, "case": text}),
                batched(http, "submissions", {**note, "note": text}),
            ]
            if len(text) < 8_000 and text.isascii():  # a longer one is not a header line of a request
                bearer = {"Authorization": f"Bearer {text}"}
                answers.append(http.get(f"{intake}/v1/referrals", headers=bearer))
        return [*(answer.status_code for answer in answers), *of_lines]

    with httpx.Client(timeout=40) as http:
        send_all(http)
        before = {service: _used(hub, service) for service in ("directory", "intake")}
        statuses = send_all(http)
    assert {status for status in statuses if status < 400 or status >= 500} == set()
    for service, (cpu, memory) in before.items():
        cpu_now, memory_now = _used(hub, service)
        assert (cpu_now - cpu) / len(hostile_tokens.TOKENS) < 0.05, service
        assert memory_now - memory < 40_000_000, service


def _used(hub: RunningHub, service: str) -> tuple[float, float]:
    """Return a service's CPU time in seconds and its resident memory in bytes."""
    found = dict(
        line.split(" ", 1) for line in hub.operations(service, "/metrics").text.splitlines() if " " in line
    )
    return float(found["process_cpu_seconds_total"]), float(found["process_resident_memory_bytes"])


@on_sqlite
def test_partner_cannot_use_coordinator_resources(hub: RunningHub) -> None:
    authorization = {"Authorization": f"Bearer {hub.token(SENDER)}"}
    answer = httpx.get(f"{hub.address('routing')}/v1/coordination/unplaced", headers=authorization)
    _is_problem(hub, answer, status=403, kind="forbidden")


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("offers/{offer}/accept", {}),
        ("offers/{offer}/decline", {"reason": "no_capacity"}),
        ("referrals/{referral}/withdraw", {"reason": "other"}),
        ("referrals/{referral}/complete", {"outcome": "resolved"}),
        ("referrals/{referral}/progress", {"status": "on_hold"}),
        ("referrals/{referral}/hand-back", {"reason": "language"}),
        ("referrals/{referral}/consent/revoke", {}),
        ("referrals/{referral}/unreadable", {"reason": "cannot_decrypt"}),
        ("offers/not-a-uuid/accept", {}),
        ("referrals/01a1fff0-3dd9-7509-9993-24d1104e08f6/withdraw", {"reason": "other"}),
    ],
)
def test_resource_of_another_organization_is_not_found(
    hub: RunningHub, path: str, body: Document, foreign_referral: tuple[str, str]
) -> None:
    referral_id, offer_id = foreign_referral
    answer = httpx.post(
        f"{hub.address('intake')}/v1/{path.format(offer=offer_id, referral=referral_id)}",
        json=body,
        headers={"Authorization": f"Bearer {hub.token(STRANGER)}"},
    )
    _is_problem(hub, answer, status=404, kind="not-found")


@pytest.fixture(scope="module")
def foreign_referral(hub: RunningHub) -> tuple[str, str]:
    """A referral of other organisations, and an offer of it."""
    sender, referral_id = hub.submit(KEY)
    _, offer_id = hub.next_offer(sender, referral_id)
    return referral_id, offer_id


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("offers/{offer}/decline", {}, "/reason"),
        ("offers/{offer}/decline", {"reason": MARKER}, "/reason"),
        ("offers/{offer}/decline", {"reason": "other"}, "/note"),
        ("offers/{offer}/decline", {"reason": "language", "note": "call +996 700 918 273"}, "/note"),
        ("offers/{offer}/accept", {"reason": MARKER}, "/reason"),
        ("referrals/{referral}/withdraw", {"reason": MARKER}, "/reason"),
        ("referrals/{referral}/complete", {"outcome": MARKER}, "/outcome"),
        ("referrals/{referral}/progress", {"status": "completed"}, "/status"),
        ("referrals/{referral}/notes", {"note": MARKER}, "/note"),
        ("referrals/{referral}/unreadable", {"reason": MARKER}, "/reason"),
        ("referrals/{referral}/case", {"to": SENDER, "case": MARKER}, "/case"),
    ],
)
def test_invalid_answer_is_refused_with_pointers(
    hub: RunningHub, path: str, body: Document, pointer: str, foreign_referral: tuple[str, str]
) -> None:
    referral_id, offer_id = foreign_referral
    answer = httpx.post(
        f"{hub.address('intake')}/v1/{path.format(offer=offer_id, referral=referral_id)}",
        json=body,
        headers={"Authorization": f"Bearer {hub.token(SENDER)}"},
    )
    problem = _is_problem(hub, answer, status=422, kind="invalid-submission")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@on_sqlite
def test_answer_to_expired_offer_is_refused_in_the_mailbox(hub: RunningHub) -> None:
    sender, referral_id = hub.submit("expires")
    silent, offer_id = hub.next_offer(sender, referral_id)
    sender.await_message("offer.expired", referral_id)

    silent.hub.decline(offer_id, "conflict_of_interest")

    refused = silent.await_message("answer.refused", referral_id)
    assert (refused["problem"]["type"], refused["problem"]["status"]) == (PROBLEM + "offer-closed", 409)
    (offer,) = silent.hub.referral(referral_id)["offers"]
    assert offer["state"] == "expired"
    sender.hub.withdraw(referral_id, "placed_elsewhere")


@on_sqlite
@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("after=nonsense", "invalid-cursor"),
        ("limit=0", "invalid-parameter"),
        ("limit=many", "invalid-parameter"),
        (f"status={MARKER}", "invalid-parameter"),
        ("limit=1&limit=2", "invalid-parameter"),
    ],
)
def test_invalid_query_is_refused(hub: RunningHub, query: str, kind: str) -> None:
    answer = httpx.get(
        f"{hub.address('intake')}/v1/referrals?{query}",
        headers={"Authorization": f"Bearer {hub.token(SENDER)}"},
    )
    _is_problem(hub, answer, status=400, kind=kind)


def _document(hub: RunningHub, **members: Any) -> Document:
    case = plain(hub.network.referral(KEY).case)
    return {**hub.facts(KEY), "case": hub.organization(SENDER).hub.seal(case), **members}


def _post(hub: RunningHub, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    return httpx.post(
        f"{hub.address('intake')}/v1/referrals",
        content=body,
        headers={
            "Authorization": f"Bearer {hub.token(SENDER)}",
            "Content-Type": "application/json",
            **headers,
        },
        timeout=20,
    )


def _refused(
    hub: RunningHub, body: bytes, *, status: int, kind: str, headers: Mapping[str, str] | None = None
) -> Document:
    return _is_problem(hub, _post(hub, body, headers or {}), status=status, kind=kind)


def _is_problem(
    hub: RunningHub,
    answer: httpx.Response,
    *,
    status: int,
    kind: str,
    media_type: str = "application/problem+json",
) -> Document:
    """Check that the response is a problem (RFC 9457) and that neither it nor a log repeats the request."""
    problem: Document = answer.json()
    assert (answer.status_code, problem["type"]) == (status, PROBLEM + kind)
    assert answer.headers["content-type"].startswith(media_type)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert MARKER not in answer.text
    assert MARKER not in hub.logs()
    return problem
