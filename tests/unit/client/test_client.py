import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kopuro_client import (
    CaseError,
    ClientError,
    DefectError,
    InvalidArgumentError,
    Kopuro,
    RefusedError,
    SealingError,
    Submission,
    UnavailableError,
    UnreadableError,
    generate_key,
    open_sealed,
    public_key,
    seal,
)
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

FACTS: dict[str, Any] = {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW"}
CASE: dict[str, Any] = {"name": "Нурлан Б.", "phones": ["+996555000000"], "narrative": "Не платят."}
REFERRALS = "/intake/v1/referrals"
BATCH = "/intake/v1/referrals:batch"
RECEIVER = "/directory/v1/organizations/ru.moscow-union"
REQUESTED = json_response({"id": "r1", "status": "requested"}, status=202)
SUBMITTED = json_response({"id": "s1", "status": "submitted"}, status=202)
BUSY = Response(status=503)


def test_submission_is_sealed_to_custody_key(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", REFERRALS, REQUESTED)
    assert client.submit(FACTS, case=CASE) == {"id": "r1", "status": "requested"}
    [request] = hub.requests_to(REFERRALS)
    body = request.json()
    assert open_sealed(body.pop("case"), hub.custody_key) == CASE
    assert body == FACTS
    assert request.headers["content-type"] == "application/json"
    assert "Нурлан".encode() not in request.body


def test_submission_to_named_organization_is_sealed_to_its_key(hub: FakeHub, client: Kopuro) -> None:
    key = generate_key()
    hub.script("GET", RECEIVER, json_response({"id": "ru.moscow-union", "sealing_key": public_key(key)}))
    hub.script("POST", REFERRALS, REQUESTED)
    client.submit({**FACTS, "to": "ru.moscow-union"}, case=CASE)
    assert open_sealed(hub.requests_to(REFERRALS)[0].json()["case"], key) == CASE


@pytest.mark.parametrize("record", [{"sealing_key": None}, {}, {"sealing_key": {"kty": "RSA"}}])
def test_submission_to_organization_without_valid_key_is_not_sent(
    hub: FakeHub, client: Kopuro, record: dict[str, Any]
) -> None:
    hub.script("GET", RECEIVER, json_response(record))
    with pytest.raises(SealingError):
        client.submit({**FACTS, "to": "ru.moscow-union"}, case=CASE)
    assert hub.requests_to(REFERRALS) == []


def test_submission_with_invalid_case_is_not_sent(hub: FakeHub, client: Kopuro) -> None:
    with pytest.raises(CaseError):
        client.submit(FACTS, case={"narrative": "no name"})
    assert hub.requests_to(REFERRALS) == []


def test_submission_with_sealed_case_sends_it_unchanged(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", REFERRALS, REQUESTED)
    sealed = client.seal(CASE)
    client.submit(FACTS, sealed=sealed, idempotency_key="our-4711")
    [request] = hub.requests_to(REFERRALS)
    assert request.json()["case"] == sealed
    assert request.headers["idempotency-key"] == "our-4711"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"case": CASE, "sealed": "x"},
        {"case": CASE, "idempotency_key": ""},
        {"case": CASE, "idempotency_key": "ключ"},
        {"case": CASE, "idempotency_key": "a\nb"},
    ],
)
def test_invalid_submission_is_not_sent(hub: FakeHub, client: Kopuro, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        client.submit(FACTS, **wrong)
    assert hub.requests_to(REFERRALS) == []


def test_retried_submission_is_identical_to_the_byte(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", REFERRALS, BUSY, Response(status=202, body=b'{"id":"r1"}', cut=True), REQUESTED)
    assert client.submit(FACTS, case=CASE)["id"] == "r1"
    sent = hub.requests_to(REFERRALS)
    assert len(sent) == 3
    assert len({request.body for request in sent}) == 1
    assert len({request.headers["idempotency-key"] for request in sent}) == 1


def test_two_submissions_have_different_idempotency_keys(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", REFERRALS, REQUESTED)
    client.submit(FACTS, case=CASE)
    client.submit(FACTS, case=CASE)
    assert len({request.headers["idempotency-key"] for request in hub.requests_to(REFERRALS)}) == 2


def test_refused_submission_raises_the_problem(hub: FakeHub, client: Kopuro) -> None:
    errors = [{"pointer": "/needs/0", "detail": "Unknown code."}]
    hub.script("POST", REFERRALS, problem(422, "invalid-submission", "Not so", detail="One.", errors=errors))
    with pytest.raises(RefusedError) as caught:
        client.submit(FACTS, case=CASE)
    assert caught.value.type == "urn:kopuro:problem:invalid-submission"
    assert caught.value.status == 422
    assert [(e.pointer, e.detail) for e in caught.value.errors] == [("/needs/0", "Unknown code.")]
    assert len(hub.requests_to(REFERRALS)) == 1


def test_batch_has_key_for_each_line_and_is_retried_whole(hub: FakeHub, client: Kopuro) -> None:
    results = [
        {"line": 1, "status": 202, "id": "r1"},
        {"line": 2, "status": 422, "problem": {"type": "urn:kopuro:problem:invalid-submission"}},
    ]
    hub.script("POST", BATCH, BUSY, Response(status=200, body="\n".join(map(json.dumps, results)).encode()))
    submissions = [
        Submission(facts=FACTS, case=CASE, idempotency_key="a"),
        Submission(facts={**FACTS, "region": "??"}, case=CASE),
    ]
    assert client.submit_batch(submissions) == results
    first, second = hub.requests_to(BATCH)
    assert first.body == second.body
    assert first.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in first.body.splitlines()]
    assert [line["idempotency_key"] for line in lines] == ["a", submissions[1].idempotency_key]
    assert open_sealed(lines[1]["case"], hub.custody_key) == CASE


def lines_of(*results: dict[str, Any]) -> Response:
    return Response(status=200, body="\n".join(map(json.dumps, results)).encode())


WHOLE = Response(
    status=429,
    body=b'{"type":"urn:kopuro:problem:too-many-submissions","status":429}',
    headers={"Content-Type": "application/problem+json", "Retry-After": "90"},
)


def too_many(line: int, seconds: int) -> dict[str, Any]:
    problem_of_line = {
        "type": "urn:kopuro:problem:too-many-submissions",
        "status": 429,
        "retry_after": seconds,
    }
    return {"line": line, "status": 429, "problem": problem_of_line}


def test_lines_beyond_the_rate_are_sent_again_at_their_places(
    hub: FakeHub, client: Kopuro, fake_clock: FakeClock
) -> None:
    first, second, third = (
        {"line": 1, "status": 202, "id": "r1"},
        {"line": 2, "status": 202, "id": "r2"},
        {"line": 3, "status": 422, "problem": {"type": "urn:kopuro:problem:invalid-submission"}},
    )
    hub.script(
        "POST",
        BATCH,
        lines_of(first, too_many(2, 40), too_many(3, 40)),
        WHOLE,
        lines_of(second, third),
    )
    started = fake_clock.now
    submissions = [Submission(facts=FACTS, case=CASE) for _ in range(3)]
    assert client.submit_batch(submissions) == [first, second, third]
    sent = [request.body.split(b"\n") for request in hub.requests_to(BATCH)]
    assert sent[1] == sent[2] == [b"", *sent[0][1:]]
    assert fake_clock.now - started == 130


def test_lines_keep_their_refusal_when_patience_ends(
    hub: FakeHub, client: Kopuro, fake_clock: FakeClock
) -> None:
    results = [{"line": 1, "status": 202, "id": "r1"}, too_many(2, 40)]
    hub.script("POST", BATCH, lines_of(*results))
    submissions = [Submission(facts=FACTS, case=CASE) for _ in range(2)]
    assert client.submit_batch(submissions, patience=39) == results
    assert len(hub.requests_to(BATCH)) == 1


def test_batch_that_is_refused_as_a_whole_raises_when_patience_ends(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", BATCH, WHOLE)
    with pytest.raises(UnavailableError) as caught:
        client.submit_batch([Submission(facts=FACTS, case=CASE)], patience=89)
    assert (caught.value.type, caught.value.retry_after) == ("urn:kopuro:problem:too-many-submissions", 90.0)


def test_preview_sends_the_facts_without_case_or_key(hub: FakeHub, client: Kopuro) -> None:
    path, found = "/intake/v1/referrals:preview", {"candidates": "1-4"}
    hub.script("POST", path, Response(status=503, body=b""), json_response(found))
    assert dict(client.preview({**FACTS, "case": CASE, "onward_from": "r1"})) == found
    requests = hub.requests_to(path)
    assert [request.json() for request in requests] == [FACTS, FACTS]  # retried like a read
    assert "idempotency-key" not in requests[0].headers


def test_batch_looks_up_receiver_once_and_empty_batch_sends_nothing(hub: FakeHub, client: Kopuro) -> None:
    key = public_key(generate_key())
    hub.script("GET", RECEIVER, json_response({"id": "ru.moscow-union", "sealing_key": key}))
    hub.script(
        "POST", BATCH, Response(status=200, body=b'{"line":1,"status":202}\n{"line":2,"status":202}\n')
    )
    client.submit_batch([Submission(facts={**FACTS, "to": "ru.moscow-union"}, case=CASE)] * 2)
    assert len(hub.requests_to(RECEIVER)) == 1
    assert client.submit_batch([]) == []
    assert len(hub.requests_to(BATCH)) == 1


Doing = Callable[[Kopuro], object]


@pytest.mark.parametrize(
    ("doing", "path", "body"),
    [
        (lambda c: c.withdraw("r1", "placed_elsewhere"), "/withdraw", {"reason": "placed_elsewhere"}),
        (lambda c: c.progress("r1", "on_hold"), "/progress", {"status": "on_hold"}),
        (lambda c: c.complete("r1", "resolved"), "/complete", {"outcome": "resolved"}),
        (lambda c: c.hand_back("r1", "language"), "/hand-back", {"reason": "language"}),
        (lambda c: c.revoke_consent("r1"), "/consent/revoke", {}),
    ],
)
def test_referral_method_posts_its_body(
    hub: FakeHub, client: Kopuro, doing: Doing, path: str, body: object
) -> None:
    where = f"/intake/v1/referrals/r1{path}"
    hub.script("POST", where, SUBMITTED)
    assert doing(client) == {"id": "s1", "status": "submitted"}
    assert hub.requests_to(where)[0].json() == body


def test_offer_answers_are_posted(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", "/intake/v1/offers/o1/accept", SUBMITTED)
    hub.script("POST", "/intake/v1/offers/o1/decline", SUBMITTED)
    client.accept("o1")
    client.decline("o1", "language")
    sent = [request.json() for request in hub.received if request.path.startswith("/intake")]
    assert sent == [{}, {"reason": "language"}]


@pytest.mark.parametrize("sender", [None, "ru.moscow-union"])
def test_decline_note_is_sealed_to_sender(hub: FakeHub, client: Kopuro, sender: str | None) -> None:
    key = generate_key()
    hub.script("GET", "/intake/v1/offers/o1", json_response({"id": "o1", "sender": "ru.moscow-union"}))
    hub.script("GET", RECEIVER, json_response({"sealing_key": public_key(key)}))
    hub.script("POST", "/intake/v1/offers/o1/decline", SUBMITTED)
    client.decline("o1", "other", note="Ремонт", sender=sender)
    (sent,) = hub.requests_to("/intake/v1/offers/o1/decline")
    assert sent.json()["reason"] == "other"
    assert open_sealed(sent.json()["note"], key) == {"text": "Ремонт"}
    assert "Ремонт".encode() not in sent.body
    assert len(hub.requests_to("/intake/v1/offers/o1")) == (1 if sender is None else 0)


def test_decline_note_for_sender_without_key_is_not_sent(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", RECEIVER, json_response({"sealing_key": None}))
    with pytest.raises(SealingError, match="published no sealing key"):
        client.decline("o1", "other", note="Ремонт", sender="ru.moscow-union")
    assert hub.requests_to("/intake/v1/offers/o1/decline") == []


def test_answer_is_retried_under_one_key_while_hub_is_busy(hub: FakeHub, client: Kopuro) -> None:
    hub.script("POST", "/intake/v1/offers/o1/accept", BUSY, SUBMITTED)
    client.accept("o1")
    first, second = hub.requests_to("/intake/v1/offers/o1/accept")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    client.accept("o1")
    assert hub.received[-1].headers["idempotency-key"] != first.headers["idempotency-key"]


def test_statements_are_sent_in_one_request(hub: FakeHub, client: Kopuro) -> None:
    results = [{"line": 1, "status": 202, "id": "s1"}, {"line": 2, "status": 202, "id": "s2"}]
    path = "/intake/v1/submissions:batch"
    hub.script("POST", path, Response(status=200, body="\n".join(map(json.dumps, results)).encode()))
    statements = [
        {"submit": "accept", "offer_id": "o1"},
        {"submit": "progress", "referral_id": "r1", "status": "on_hold", "idempotency_key": "mine"},
    ]
    assert client.submit_statements(statements) == results
    assert client.submit_statements([]) == []
    (sent,) = hub.requests_to(path)
    first, second = (json.loads(line) for line in sent.body.splitlines())
    assert first.pop("idempotency_key")
    assert [first, second] == statements


def test_batch_of_statements_sends_its_key_in_the_header(hub: FakeHub, client: Kopuro) -> None:
    path = "/intake/v1/submissions:batch"
    body = b'{"line":1,"status":202,"id":"s1"}\n{"line":2,"status":202,"id":"s2"}\n'
    hub.script("POST", path, BUSY, Response(status=200, body=body))
    statements = [
        {"submit": "accept", "offer_id": "o1"},
        {"submit": "accept", "offer_id": "o2", "idempotency_key": "mine"},
    ]
    client.submit_statements(statements, idempotency_key="monday")
    first, second = hub.requests_to(path)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "monday"
    assert [json.loads(line) for line in first.body.splitlines()] == statements


def test_statement_with_null_key_gets_a_key(hub: FakeHub, client: Kopuro) -> None:
    """Each line needs a key, because the client retries the whole request while the hub is busy."""
    path = "/intake/v1/submissions:batch"
    hub.script("POST", path, Response(status=200, body=b'{"line":1,"status":202,"id":"s1"}\n'))
    client.submit_statements([{"submit": "accept", "offer_id": "o1", "idempotency_key": None}])
    assert json.loads(hub.requests_to(path)[0].body)["idempotency_key"]


KEYED: dict[str, Doing] = {
    "offers/o1/accept": lambda c: c.accept("o1", idempotency_key="mine"),
    "offers/o1/decline": lambda c: c.decline("o1", "language", idempotency_key="mine"),
    "referrals/r1/withdraw": lambda c: c.withdraw("r1", "other", idempotency_key="mine"),
    "referrals/r1/progress": lambda c: c.progress("r1", "on_hold", idempotency_key="mine"),
    "referrals/r1/complete": lambda c: c.complete("r1", "resolved", idempotency_key="mine"),
    "referrals/r1/hand-back": lambda c: c.hand_back("r1", "language", idempotency_key="mine"),
    "referrals/r1/consent/revoke": lambda c: c.revoke_consent("r1", idempotency_key="mine"),
}


@pytest.mark.parametrize("path", KEYED)
def test_given_key_is_sent_with_a_statement(hub: FakeHub, client: Kopuro, path: str) -> None:
    hub.script("POST", f"/intake/v1/{path}", SUBMITTED)
    KEYED[path](client)
    assert hub.requests_to(f"/intake/v1/{path}")[0].headers["idempotency-key"] == "mine"


def test_messages_are_acknowledged_in_one_request(hub: FakeHub, client: Kopuro) -> None:
    path = "/delivery/v1/mailbox:acknowledge"
    hub.script("POST", path, json_response({"items": []}))
    client.acknowledge_all(["m1", "m2"])
    client.acknowledge_all([])
    assert [request.json() for request in hub.requests_to(path)] == [{"ids": ["m1", "m2"]}]


def test_note_is_sealed_to_other_party(hub: FakeHub, client: Kopuro) -> None:
    key = generate_key()
    hub.script("GET", RECEIVER, json_response({"sealing_key": public_key(key)}))
    hub.script("POST", "/intake/v1/referrals/r1/notes", SUBMITTED)
    client.note("r1", "Придёт брат.", to="ru.moscow-union")
    note = hub.requests_to("/intake/v1/referrals/r1/notes")[0].json()["note"]
    assert open_sealed(note, key) == {"text": "Придёт брат."}


def test_released_case_is_opened_with_own_key(hub: FakeHub, client: Kopuro) -> None:
    key = generate_key()
    sealed = seal(CASE, public_key(key))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    assert client.case("r1", key) == CASE
    with pytest.raises(SealingError, match="without the private sealing key"):
        client.case("r1")
    with Kopuro.discover(hub.url, "id", "secret", sealing_key=key) as holder:
        assert holder.case("r1") == CASE


def test_case_response_without_case_raises_defect_error(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1"}))
    with pytest.raises(DefectError):
        client.sealed_case("r1")


def test_mailbox_is_read_and_acknowledged(hub: FakeHub, client: Kopuro) -> None:
    page = {"items": [{"id": "m1"}], "next": "5"}
    hub.script("GET", "/delivery/v1/mailbox", json_response(page))
    hub.script("POST", "/delivery/v1/mailbox/m1/acknowledge", Response(status=204))
    assert client.mailbox(after="4", limit=10, wait=0.2) == page
    client.acknowledge("m1")
    assert hub.requests_to("/delivery/v1/mailbox")[0].query == {"after": "4", "limit": "10", "wait": "1"}
    for wait in (-1, 31):
        with pytest.raises(InvalidArgumentError):
            client.mailbox(wait=wait)


def test_coordination_and_audit_methods_send_their_requests(hub: FakeHub, client: Kopuro) -> None:
    empty: dict[str, Any] = {"items": [], "next": None}
    hub.script("GET", "/routing/v1/coordination/unplaced", json_response(empty))
    hub.script("POST", "/routing/v1/coordination/r1/offer", SUBMITTED)
    hub.script("GET", "/audit/v1/history", json_response({**empty, "checkpoint": {"size": 3}}))
    hub.script("GET", "/audit/checkpoint", Response(status=200, body=b"kopuro.example/kg\n3\nroot\n"))
    assert list(client.unplaced()) == []
    client.place("r1", "kz.almaty-shelter")
    assert hub.requests_to("/routing/v1/coordination/r1/offer")[0].json() == {
        "organization": "kz.almaty-shelter"
    }
    hub.script("POST", "/routing/v1/coordination/policies:simulate", json_response({"referrals": 3}))
    assert client.simulate({"version": "x"}, referrals=3)["referrals"] == 3
    client.simulate({"version": "x"})
    assert [one.json() for one in hub.requests_to("/routing/v1/coordination/policies:simulate")] == [
        {"policy": {"version": "x"}, "referrals": 3},
        {"policy": {"version": "x"}},
    ]
    hub.script("POST", "/routing/v1/coordination/r1/withdraw", SUBMITTED)
    client.withdraw_for("r1", "kg.gone", "placed_elsewhere")
    assert hub.requests_to("/routing/v1/coordination/r1/withdraw")[0].json() == {
        "organization": "kg.gone",
        "reason": "placed_elsewhere",
    }
    page = client.history(referral="r1", event_type="kopuro.offer.opened.v1", since="2026-01-01T00:00:00Z")
    assert page["checkpoint"]["size"] == 3
    assert hub.requests_to("/audit/v1/history")[0].query == {
        "referral": "r1",
        "type": "kopuro.offer.opened.v1",
        "from": "2026-01-01T00:00:00Z",
    }
    assert client.checkpoint() == "kopuro.example/kg\n3\nroot\n"
    assert "authorization" not in hub.requests_to("/audit/checkpoint")[0].headers


def test_directory_is_read_page_by_page(hub: FakeHub, client: Kopuro) -> None:
    for resource in ("organizations", "services"):
        first = json_response({"items": [{"id": "a"}], "next": "a"})
        hub.script(
            "GET", f"/directory/v1/{resource}", first, json_response({"items": [{"id": "b"}], "next": None})
        )
    assert [o["id"] for o in client.organizations(kind="union", country="RU")] == ["a", "b"]
    assert [s["id"] for s in client.services(need="legal.wage_claim", region="RU-MOW")] == ["a", "b"]
    assert hub.requests_to("/directory/v1/services")[1].query == {
        "need": "legal.wage_claim",
        "region": "RU-MOW",
        "after": "a",
    }


OSH = "/directory/v1/organizations/kg.osh"


def test_organization_update_sends_the_revision_read(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", OSH, json_response({"id": "kg.osh", "revision": 7}))
    hub.script("PATCH", OSH, json_response({"id": "kg.osh", "revision": 8}))
    changed: Mapping[str, Any] = client.update_organization("kg.osh", {"active": False})
    assert changed["revision"] == 8
    sent = hub.requests_to(OSH)[-1]
    assert (sent.method, sent.json()) == ("PATCH", {"active": False})
    assert sent.headers["if-match"] == '"7"'
    assert sent.headers["content-type"] == "application/merge-patch+json"
    client.update_organization("kg.osh", {"active": True}, revision=8)
    assert [request.method for request in hub.requests_to(OSH)] == ["GET", "PATCH", "PATCH"]
    assert hub.requests_to(OSH)[-1].headers["if-match"] == '"8"'


def test_organization_update_of_changed_record_is_refused(hub: FakeHub, client: Kopuro) -> None:
    hub.script("PATCH", OSH, problem(412, "precondition-failed", "Changed"))
    with pytest.raises(RefusedError) as refused:
        client.update_organization("kg.osh", {"active": False}, revision=7)
    assert refused.value.type == "urn:kopuro:problem:precondition-failed"


EVERYTHING: list[Doing] = [
    lambda c: c.update_organization("ru.x", {"active": False}, revision=1),
    lambda c: c.submit(FACTS, case=CASE),
    lambda c: c.submit_batch([Submission(facts=FACTS, case=CASE)]),
    lambda c: c.referral("r1"),
    lambda c: list(c.referrals()),
    lambda c: c.decision("r1"),
    lambda c: c.withdraw("r1", "other"),
    lambda c: c.note("r1", "x", to="ru.x"),
    lambda c: c.accept("o1"),
    lambda c: c.mailbox(),
    lambda c: list(c.watch(give_up_after=0)),
    lambda c: c.sealed_case("r1"),
    lambda c: c.organization("ru.x"),
    lambda c: list(c.organizations()),
    lambda c: list(c.services()),
    lambda c: list(c.unplaced()),
    lambda c: c.place("r1", "ru.x"),
    lambda c: c.history(),
]
BAD_ANSWERS = [
    json_response([1, 2]),
    json_response(None),
    Response(status=200, body=b"\xff\xfe"),
    Response(status=200, body=b"[" * 100_000),
    Response(status=200, body=b"not gzip", headers={"Content-Encoding": "gzip"}),
    Response(status=307, headers={"Location": "http://127.0.0.1:1/"}),
    Response(status=400, body=b"<html>"),
    Response(status=500),
]


@pytest.mark.parametrize("doing", EVERYTHING)
def test_client_methods_raise_no_foreign_exception(
    hub: FakeHub, client: Kopuro, monkeypatch: pytest.MonkeyPatch, doing: Doing
) -> None:
    usual = hub._next
    for bad in BAD_ANSWERS:
        monkeypatch.setattr(
            hub, "_next", lambda request, bad=bad: usual(request) if "token" in request.path else bad
        )
        with pytest.raises(ClientError):
            doing(client)


@pytest.mark.parametrize(
    ("note_from", "expected"),
    [
        (None, {"reason": "cannot_decrypt", "content": "case"}),
        ("ru.one", {"reason": "cannot_decrypt", "content": "note", "author": "ru.one"}),
    ],
)
def test_unreadable_content_is_reported(
    hub: FakeHub, client: Kopuro, note_from: str | None, expected: dict[str, str]
) -> None:
    where = "/intake/v1/referrals/r1/unreadable"
    hub.script("POST", where, SUBMITTED)
    client.report_unreadable("r1", "cannot_decrypt", note_from=note_from)
    assert hub.requests_to(where)[0].json() == expected


def test_replaced_case_is_sealed_to_the_custody_key(hub: FakeHub, client: Kopuro) -> None:
    hub.script("GET", "/intake/v1/referrals/r1", json_response({"acceptor": None, "facts": {"to": None}}))
    hub.script("POST", "/intake/v1/referrals/r1/case", SUBMITTED)
    client.replace_case("r1", CASE)
    sent = hub.requests_to("/intake/v1/referrals/r1/case")[0].json()
    assert sent.keys() == {"case"}
    assert open_sealed(sent["case"], hub.custody_key) == CASE


def test_replaced_case_for_a_named_receiver_is_sealed_to_it(hub: FakeHub, client: Kopuro) -> None:
    key = generate_key()
    view = {"acceptor": "ru.moscow-union", "facts": {"to": "ru.moscow-union"}}
    hub.script("GET", "/intake/v1/referrals/r1", json_response(view))
    hub.script("GET", RECEIVER, json_response({"sealing_key": public_key(key)}))
    hub.script("POST", "/intake/v1/referrals/r1/case", SUBMITTED)
    client.replace_case("r1", CASE)
    sent = hub.requests_to("/intake/v1/referrals/r1/case")[0].json()
    assert (sent["to"], open_sealed(sent["case"], key)) == ("ru.moscow-union", CASE)
    with pytest.raises(CaseError):
        client.replace_case("r1", {"hello": 1})


def test_case_for_a_named_receiver_is_not_replaced_before_acceptance(hub: FakeHub, client: Kopuro) -> None:
    view = {"acceptor": None, "facts": {"to": "ru.moscow-union"}}
    hub.script("GET", "/intake/v1/referrals/r1", json_response(view))
    with pytest.raises(InvalidArgumentError, match="no organisation has accepted"):
        client.replace_case("r1", CASE)


def test_note_without_text_is_not_understood(client: Kopuro) -> None:
    key = generate_key()
    with pytest.raises(UnreadableError) as caught:
        client.open_note(seal({"words": "x"}, public_key(key)), key)
    assert caught.value.reason == "not_understood"
    assert client.open_note(seal({"text": "Алло"}, public_key(key)), key) == "Алло"


def test_acknowledgement_is_retried_while_hub_is_busy(hub: FakeHub, client: Kopuro) -> None:
    one, many = "/delivery/v1/mailbox/m1/acknowledge", "/delivery/v1/mailbox:acknowledge"
    hub.script("POST", one, BUSY, Response(status=204))
    hub.script("POST", many, BUSY, json_response({"items": []}))
    client.acknowledge("m1")
    client.acknowledge_all(["m1", "m2"])
    assert (len(hub.requests_to(one)), len(hub.requests_to(many))) == (2, 2)
