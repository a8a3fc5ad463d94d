"""Intake as a process: its API over sockets, its messages through a real broker."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from joserfc.jwk import OKPKey

from contracts.codes import Vetting
from contracts.envelope import Event, decode
from contracts.errors import Refused
from contracts.facts import (
    Fact,
    OfferOpened,
    OrganizationChanged,
    ReferralSubmitted,
    ReplicaCompleted,
    SealedCaseSubmitted,
    TokenKeyChanged,
)
from contracts.organization import SealingKey
from contracts.queries import Query, ReferralListQuery, parse_query
from contracts.records import read
from contracts.topology import DIRECT, ROUTING_QUERIES, hub_topology
from kopuro_client.sealing import generate_key, public_key, seal
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal, issuer_of
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import BrokerUnavailable, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.request_reply import DEADLINE_SECONDS, RequestServer
from runtime.storage.database import Database
from sandbox.broker import PrivateBroker
from tests.journey.waiting import until
from tests.processes import HUB, RunningService
from tests.services.made_cursors import made_cursors
from tests.support import migrated
from tests.support.events import message_of
from tests.support.hub_keys import all_signed, peers
from tests.support.partners import Partner, client_id_of, registered, signed_token
from tests.support.transit_secrets import TransitSecrets
from tests.unit.services.intake.samples import (
    KEYLESS,
    MOSCOW,
    NOON,
    OFFER,
    OSH,
    REFERRAL,
    STRANGER,
    SUSPENDED,
    document,
    organization,
    submission,
)

# Personal data in the wrong place. It must not appear in any response, log or metric.
MARKER = "Aigerim-Toktogulova-555123456"
LONG = 15.0


def event(fact: Fact, key: str) -> Event[Fact]:
    return message_of(fact, key)


class FakeRouting:
    """Replies to intake's requests over the broker from `answers`."""

    def __init__(self, amqp_uri: str) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[Query] = []
        self._broker = RabbitBroker(amqp_uri)
        self._processor = RequestServer(
            self._broker,
            self._answer,
            peers=peers("routing", "intake", user=self._broker.user),
            clock=SystemClock(),
        )
        self._stopping = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        with closing(self._broker.consumer([ROUTING_QUERIES], 100)) as consumer:
            while not self._stopping:
                with suppress(BrokerUnavailable):
                    if deliveries := consumer.take(100, 0.2):
                        self._processor.process(deliveries)
                        consumer.acknowledge(deliveries)

    def _answer(self, wire: Mapping[str, Any]) -> Any:
        query = parse_query(wire)
        self.asked.append(query)
        if query.ask in self.answers:
            return self.answers[query.ask]
        if query.ask == "referral":
            raise Refused("not-found", "Unknown referral.")
        return {"party": False, "offer": None, "referrals": []}[query.ask]


class Hub:
    """A running intake with its organisations' keys and clients."""

    def __init__(self, directory: Path, amqp_uri: str) -> None:
        self.amqp_uri = amqp_uri
        RabbitBroker(amqp_uri).declare(hub_topology())
        self.database_url = f"sqlite:///{directory / 'intake.sqlite'}"
        database = Database.open(self.database_url)
        migrated.upgrade("services.intake", database)
        database.close()
        self.service = RunningService(
            "services.intake",
            directory,
            amqp_uri=amqp_uri,
            database_url=self.database_url,
            # A few organisations send what a network does.
            environment={"KOPURO_REQUESTS_PER_MINUTE": "999999", "KOPURO_SUBMISSIONS_BURST": "999999"},
        )
        self._partners: dict[tuple[str, str], Partner] = {}
        self.custody = generate_key()
        self.transit = TransitSecrets()
        self.keys = {name: generate_key() for name in (OSH, MOSCOW)}
        announced = {"hub": HUB, "version": "1", "custody_key": public_key(self.custody)}
        (directory / "discovery.json").write_text(json.dumps(announced))
        self.signer = TokenSigner(
            OKPKey.generate_key("Ed25519", private=True).as_dict(private=True), issuer_of(HUB)
        )

    def publish_directory(self) -> None:
        """Publish the members and the token key, as the directory does."""
        facts: list[tuple[str, Fact]] = [
            (
                name,
                OrganizationChanged(
                    revision=1,
                    organization=organization(
                        name,
                        vetting=Vetting.suspended if name == SUSPENDED else Vetting.vetted,
                        key=read(SealingKey, dict(public_key(self.keys[name])))
                        if name in self.keys
                        else None,
                    ),
                ),
            )
            for name in (OSH, MOSCOW, STRANGER, SUSPENDED, KEYLESS)
        ]
        facts.append((client_id_of(OSH, "partner"), registered(OSH)))
        facts.append((self.signer.kid, TokenKeyChanged(revision=1, key=self.signer.public_jwk())))
        transit_key = self.transit.new(dt.datetime.now(dt.UTC))
        facts.append((transit_key.kid, transit_key))
        completed = outgoing(event(ReplicaCompleted(queue="intake.directory", records=len(facts) - 1), "x"))
        messages = [outgoing(event(fact, key)) for key, fact in facts]
        messages.append(
            Outgoing(
                exchange=DIRECT,
                routing_key="intake.directory",
                message_id=completed.message_id,
                partition_key="x",
                body=completed.body,
            )
        )
        self.publish(messages)

    def publish(self, messages: list[Outgoing]) -> None:
        with closing(RabbitBroker(self.amqp_uri).publisher()) as publisher:
            publisher.publish(all_signed(messages))

    def sealed(self, to: str | None = None, **case: Any) -> str:
        key = self.custody if to is None else self.keys[to]
        return seal({"name": "N", "phones": [], "narrative": "", **case}, public_key(key))

    def body(self, **changes: Any) -> dict[str, Any]:
        return {**document(case=self.sealed()), **changes}

    def token(self, principal: str = OSH, *, role: str = "partner", age: float = 0) -> str:
        return signed_token(self.signer, principal, role=role, age=age)

    def ask(
        self, method: str, path: str, *, by: str = OSH, role: str = "partner", **more: Any
    ) -> httpx.Response:
        return self._partner(by, role).ask(method, "intake", path, **more)

    def submit(self, body: Any = None, *, key: str | None = None, by: str = OSH) -> httpx.Response:
        return self._partner(by).submit(body or self.body(), key=key)

    def _partner(self, who: str, role: str = "partner") -> Partner:
        if (who, role) not in self._partners:
            if (who, role) != (OSH, "partner"):  # `publish_directory` has published that client
                self.publish([outgoing(event(registered(who, role), client_id_of(who, role)))])
            self._partners[who, role] = Partner(
                lambda _: self.service.url, lambda: self.token(who, role=role)
            )
        return self._partners[who, role]

    def metrics(self) -> str:
        return httpx.get(self.service.operations_url + "/metrics").text

    def metric(self, name: str) -> float:
        return sum(
            float(line.rpartition(" ")[2])
            for line in self.metrics().splitlines()
            if line.startswith((name + " ", name + "{"))
        )

    @contextmanager
    def published_referrals(self) -> Iterator[Callable[[int], list[Event[Fact]]]]:
        """Yield a function that returns a number of intake's published messages, without duplicates."""
        broker = RabbitBroker(self.amqp_uri)
        with closing(broker.consumer(["vault.sealed", "audit.log"], 1000)) as consumer:

            def take(count: int) -> list[Event[Fact]]:
                found: dict[str, Event[Fact]] = {}
                deadline = time.monotonic() + LONG
                while len(found) < count and time.monotonic() < deadline:
                    deliveries = consumer.take(1000, 0.5)
                    events = [decode(delivery.body) for delivery in deliveries]
                    found |= {
                        e.id: e for e in events if isinstance(e.data, ReferralSubmitted | SealedCaseSubmitted)
                    }
                    consumer.acknowledge(deliveries)
                return list(found.values())

            yield take


@pytest.fixture(scope="module")
def hub(module_vhost: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One intake for all tests that stop neither it nor its broker."""
    made = Hub(tmp_path_factory.mktemp("intake"), module_vhost)
    with made.service:
        made.publish_directory()
        made.service.until_ready()
        yield made


@pytest.fixture(scope="module")
def routing(hub: Hub) -> Iterator[FakeRouting]:
    with FakeRouting(hub.amqp_uri) as made:
        yield made


def problem(answer: httpx.Response, status: int, slug: str, *pointers: str) -> dict[str, Any]:
    """Check a problem response (status, type, detail, pointers, no personal data) and return it."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["type"]) == (status, f"urn:kopuro:problem:{slug}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"].endswith(".")
    assert [error["pointer"] for error in body.get("errors", [])] == list(pointers)
    assert MARKER not in answer.text
    return body


def admitted(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body == {"id": body["id"], "status": "requested"}
    assert answer.headers["location"] == f"/v1/referrals/{body['id']}"
    return str(body["id"])


def assert_no_leak(hub: Hub) -> None:
    assert MARKER not in hub.service.log.read_text()
    assert MARKER not in hub.metrics()
    # every refusal is the caller's fault, so the log has no errors
    assert {line["level"] for line in hub.service.log_lines()} <= {"info", "warning"}


# --- Admitted ------------------------------------------------------------------------------------


def test_referral_is_published_as_open_fact_and_sealed_case(hub: Hub) -> None:
    case = hub.sealed(name=MARKER)
    with hub.published_referrals() as take:
        referral = admitted(hub.submit(hub.body(case=case)))
        events = {type(e.data): e for e in take(2)}
    fact, sealed_case = events[ReferralSubmitted], events[SealedCaseSubmitted]
    assert hub.transit.opened(sealed_case).data == SealedCaseSubmitted(
        referral_id=referral, sender=OSH, to=None, case=case
    )
    assert isinstance(fact.data, ReferralSubmitted)
    assert (fact.data.referral_id, fact.data.sender) == (referral, OSH)
    assert case.encode() not in fact.encode()
    assert (sealed_case.causation_id, fact.source) == (fact.id, "/kg/intake")
    assert_no_leak(hub)


def test_referral_to_named_receiver_is_admitted(hub: Hub) -> None:
    admitted(hub.submit(hub.body(to=MOSCOW, case=hub.sealed(MOSCOW))))


def test_longest_case_that_client_seals_is_admitted(hub: Hub) -> None:
    case = hub.sealed(narrative="x" * 786_000)
    assert len(case) > 1_048_000
    admitted(hub.submit(hub.body(case=case)))


def test_repeated_request_creates_one_referral(hub: Hub) -> None:
    body = hub.body()
    first = admitted(hub.submit(body, key="repeated"))
    with ThreadPoolExecutor(20) as callers:
        again = callers.map(lambda _: admitted(hub.submit(body, key="repeated")), range(20))
        assert set(again) == {first}


def test_new_referral_is_shown_to_its_sender_only(hub: Hub, routing: FakeRouting) -> None:
    referral = admitted(hub.submit())
    shown = hub.ask("GET", f"/v1/referrals/{referral}").raise_for_status().json()
    assert (shown["id"], shown["sender"], shown["status"]) == (referral, OSH, "requested")
    of_others = hub.ask("GET", f"/v1/referrals/{referral}", by=STRANGER)
    unknown = hub.ask("GET", f"/v1/referrals/{new_id()}", by=STRANGER)
    problem(of_others, 404, "not-found")
    assert of_others.json() == unknown.json()


SUMMARY = {
    "sender": OSH,
    "status": "offered",
    "acceptor": None,
    "urgency": "routine",
    "region": "RU-MOW",
    "needs": ["legal.wage_claim"],
    "submitted_at": "2026-03-02T09:00:00Z",
    "updated_at": "2026-03-02T09:00:00Z",
    "part_of": None,
}


def test_referral_list_is_paged(hub: Hub, routing: FakeRouting) -> None:
    items = [{**SUMMARY, "id": new_id()} for _ in range(3)]
    routing.answers["referrals"] = items
    try:
        page = hub.ask("GET", "/v1/referrals?limit=2&status=offered").raise_for_status().json()
        assert page["items"] == items[:2]
        routing.answers["referrals"] = items[2:]
        rest = hub.ask("GET", f"/v1/referrals?limit=2&after={page['next']}").raise_for_status().json()
    finally:
        del routing.answers["referrals"]
    assert rest == {"items": items[2:], "next": None}
    first, second = [query for query in routing.asked if isinstance(query, ReferralListQuery)][-2:]
    assert (first.viewer, first.limit, first.status, first.after) == (OSH, 3, "offered", None)
    assert (second.status, second.after) == (None, items[1]["id"])


def test_organization_answers_its_offer_and_reports_progress(hub: Hub, routing: FakeRouting) -> None:
    referral, offer = admitted(hub.submit()), new_id()
    opened = OfferOpened(
        referral_id=referral,
        offer_id=offer,
        organization=MOSCOW,
        sender=OSH,
        rank=1,
        opened_at=NOON,
        deadline=NOON,
        facts=submission().situation(),
    )
    hub.publish([outgoing(event(opened, referral))])
    applied = 'kopuro_messages_consumed_total{consumer="intake.offers",result="applied"}'
    until(lambda: hub.metric(applied) >= 1, "the opened offer", within=LONG)
    for path, body in (("decline", {"reason": "language"}), ("accept", None)):
        answer = hub.ask("POST", f"/v1/offers/{offer}/{path}", by=MOSCOW, json=body)
        assert (answer.status_code, answer.json()["status"]) == (202, "submitted")
    for path, body in (("progress", {"status": "in_progress"}), ("complete", {"outcome": "resolved"})):
        answer = hub.ask("POST", f"/v1/referrals/{referral}/{path}", by=MOSCOW, json=body)
        assert answer.status_code == 202, answer.text
    note = {"note": hub.sealed(OSH)}
    assert hub.ask("POST", f"/v1/referrals/{referral}/notes", by=MOSCOW, json=note).status_code == 202
    for path in ("withdraw", "consent/revoke"):
        body = {"reason": "other"} if path == "withdraw" else {}
        assert hub.ask("POST", f"/v1/referrals/{referral}/{path}", json=body).status_code == 202


def test_batch_with_bad_lines_admits_the_others(hub: Hub, routing: FakeRouting) -> None:
    good = hub.body()
    lines: list[bytes] = [json.dumps({**good, "idempotency_key": f"line-{n}"}).encode() for n in range(500)]
    lines[10] = b'{"needs": ["' + MARKER.encode() + b'"'
    lines[20] = json.dumps({**good, MARKER: 1}).replace(MARKER, "surname").encode()
    lines[30] = json.dumps({**good, "idempotency_key": 7}).encode()
    lines[40] = b""
    lines[50] = b"[" * 10_000
    lines[60] = json.dumps({**good, "case": "a.b.c.d.e"}).encode()
    lines[70] = lines[71]
    lines[75] = lines[75].replace(b"{", b'{"urgency": "routine",', 1)
    lines[80] = json.dumps({**good, "urgency": "routine", "idempotency_key": "line-81"}).encode()
    before = hub.metric("kopuro_messages_published_total")
    answer = hub.ask("POST", "/v1/referrals:batch", content=b"\n".join(lines) + b"\n")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    results = {result["line"]: result for result in map(json.loads, answer.text.splitlines())}
    assert list(results) == [number for number in range(1, 501) if number != 41]
    refused = {number: r["problem"] for number, r in results.items() if r["status"] != 202}
    assert {number: (p["status"], p["type"].rpartition(":")[2]) for number, p in refused.items()} == {
        11: (400, "malformed-json"),
        21: (422, "invalid-submission"),
        31: (422, "invalid-submission"),
        51: (400, "malformed-json"),
        61: (422, "case-not-sealed"),
        76: (400, "duplicate-name"),
        82: (409, "idempotency-conflict"),
    }
    assert refused[31]["errors"][0]["pointer"] == "/idempotency_key"
    assert results[71]["id"] == results[72]["id"]
    ids = {r["id"] for r in results.values() if r["status"] == 202}
    assert len(ids) == 491
    published = before + 2 * len(ids)
    until(lambda: hub.metric("kopuro_messages_published_total") >= published, "their events", within=LONG)
    assert_no_leak(hub)


def test_batch_may_be_empty_and_has_limited_length(hub: Hub) -> None:
    assert hub.ask("POST", "/v1/referrals:batch", content=b"\n\n").text == ""
    assert len(hub.ask("POST", "/v1/referrals:batch", content=b"{}\n" * 1000).text.splitlines()) == 1000
    problem(hub.ask("POST", "/v1/referrals:batch", content=b"{}\n" * 1001), 413, "body-too-large")
    problem(hub.ask("POST", "/v1/referrals:batch", content=b"\n" * 4_000_000 + b"{}"), 413, "body-too-large")


def test_command_batch_returns_one_result_for_each_line(hub: Hub) -> None:
    referral = admitted(hub.submit())
    lines = [
        {"submit": "withdraw", "referral_id": referral, "reason": "other", "idempotency_key": "w-1"},
        {"submit": "withdraw", "referral_id": referral, "reason": "nonsense"},
        {"submit": "dance", "referral_id": referral},
        {"submit": "accept", "referral_id": referral},
        {"submit": "withdraw", "referral_id": "no-uuid", "reason": "other"},
        ["no", "object"],
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    results = [
        json.loads(line) for line in hub.ask("POST", "/v1/submissions:batch", content=body).iter_lines()
    ]
    assert [result["status"] for result in results] == [202, 422, 422, 422, 422, 422]
    assert [result["line"] for result in results] == [1, 2, 3, 4, 5, 6]
    pointers = [result["problem"]["errors"][0]["pointer"] for result in results[1:]]
    assert pointers == ["/reason", "/submit", "/offer_id", "/referral_id", "/submit"]
    again = hub.ask("POST", "/v1/submissions:batch", content=json.dumps(lines[0]).encode())
    assert json.loads(again.text)["id"] == results[0]["id"]


def test_batch_repeated_under_its_header_key_returns_first_ids(hub: Hub) -> None:
    headers = {"Idempotency-Key": "a-batch"}
    lines = [json.dumps(hub.body(sex=sex)).encode() for sex in ("female", "male", "other")]

    def send(lines: list[bytes]) -> list[dict[str, Any]]:
        answer = hub.ask("POST", "/v1/referrals:batch", headers=headers, content=b"\n".join(lines))
        return [json.loads(line) for line in answer.iter_lines()]

    first = send(lines)
    assert {result["status"] for result in first} == {202}
    assert send([line + b"\r" for line in lines]) == first
    changed = send([lines[0], json.dumps(hub.body(sex="unknown")).encode(), lines[2]])
    assert [result["status"] for result in changed] == [202, 409, 202]
    assert [changed[0], changed[2]] == [first[0], first[2]]
    withdrawals = [
        json.dumps({"submit": "withdraw", "referral_id": result["id"], "reason": "other"}).encode()
        for result in first
    ]
    responses = [
        hub.ask("POST", "/v1/submissions:batch", headers={"Idempotency-Key": "ends"}, content=body).text
        for body in (b"\n".join(withdrawals), b"\r\n".join(withdrawals))
    ]
    assert responses[0] == responses[1]
    long = {"Idempotency-Key": "x" * 251}
    problem(hub.ask("POST", "/v1/referrals:batch", headers=long, content=lines[0]), 400, "invalid-parameter")


def test_two_hundred_concurrent_referrals_are_admitted(hub: Hub) -> None:
    before = hub.metric("kopuro_http_requests_total")
    bodies = [hub.body() for _ in range(200)]
    token = {"Authorization": f"Bearer {hub.token()}"}
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    together = threading.Barrier(50)
    with httpx.Client(base_url=hub.service.url, limits=limits, headers=token, timeout=30) as client:

        def post(body: dict[str, Any]) -> httpx.Response:
            together.wait()
            return client.post("/v1/referrals", json=body)

        with ThreadPoolExecutor(50) as callers:
            assert len({admitted(answer) for answer in callers.map(post, bodies)}) == 200
    assert hub.metric("kopuro_http_requests_total") == before + 200


# --- Refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "slug", "pointers"),
    [
        (b"", "malformed-json", []),
        (b'{"needs": ["' + MARKER.encode(), "malformed-json", []),
        (b'{"name": "\xff' + MARKER.encode() + b'"}', "malformed-json", []),
        (b"[" * 10_000 + b"]" * 10_000, "malformed-json", []),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "malformed-json", []),
        (b'{"needs": NaN}', "malformed-json", ["/needs"]),
        (b'{"needs": [], "needs": ["' + MARKER.encode() + b'"]}', "duplicate-name", ["/needs"]),
        (b'{"name": "' + MARKER.encode() + b'\\u0000"}', "malformed-json", ["/name"]),
    ],
)
def test_body_that_is_not_json_is_refused(hub: Hub, content: bytes, slug: str, pointers: list[str]) -> None:
    problem(hub.ask("POST", "/v1/referrals", content=content), 400, slug, *pointers)
    assert_no_leak(hub)


CONSENT = document()["consent"]


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"surname": MARKER}, ["/surname"]),
        ({"consent": {**CONSENT, "witness": MARKER}}, ["/consent/witness"]),
        ({"needs": MARKER}, ["/needs"]),
        ({"needs": []}, ["/needs"]),
        ({"needs": ["legal.wage_claim", MARKER]}, ["/needs/1"]),
        ({"needs": [[MARKER], {"x": MARKER}, 5, None]}, ["/needs/0", "/needs/1", "/needs/2", "/needs/3"]),
        ({"needs": ["legal.wage_claim"] * 11}, ["/needs"]),
        ({"urgency": MARKER, "region": MARKER}, ["/region", "/urgency"]),
        ({"languages": ["xx"]}, ["/languages/0"]),
        (
            {"settlement": 5, "stage": None, "age_band": [], "sex": {}},
            ["/age_band", "/settlement", "/sex", "/stage"],
        ),
        ({"origin_country": "Kyrgyzstan"}, ["/origin_country"]),
        ({"special_categories": [MARKER]}, ["/special_categories/0"]),
        ({"accepts_cost": "yes"}, ["/accepts_cost"]),
        ({"accepts_cost": 1}, ["/accepts_cost"]),
        ({"to": MARKER}, ["/to"]),
        ({"consent": None}, ["/consent"]),
        ({"consent": MARKER}, ["/consent"]),
        ({"consent": {**CONSENT, "given": False}}, ["/consent/given"]),
        ({"consent": {**CONSENT, "given": "true"}}, ["/consent/given"]),
        ({"consent": {**CONSENT, "given_at": "2026-03-01T09:30:15"}}, ["/consent/given_at"]),
        ({"consent": {**CONSENT, "given_at": MARKER}}, ["/consent/given_at"]),
        ({"consent": {**CONSENT, "given_at": 1}}, ["/consent/given_at"]),
        ({"consent": {**CONSENT, "given_at": "2099-01-01T00:00:00Z"}}, ["/consent/given_at"]),
        ({"consent": {**CONSENT, "given_at": "0001-01-01T00:00:00Z"}}, ["/consent/given_at"]),
        ({"consent": {**CONSENT, "opt_in_kinds": ["ngo"]}}, ["/consent/opt_in_kinds/0"]),
        ({"consent": {**CONSENT, "excluded_organizations": [MARKER]}}, ["/consent/excluded_organizations/0"]),
        ({"case": MARKER}, ["/case"]),
        ({"case": {"name": MARKER}}, ["/case"]),
        ({"case": None}, ["/case"]),
        ({"case": "a" * 1_048_577}, ["/case"]),
    ],
)
def test_body_that_violates_contract_is_refused(
    hub: Hub, changes: dict[str, Any], pointers: list[str]
) -> None:
    problem(hub.submit(hub.body(**changes)), 422, "invalid-submission", *pointers)
    assert_no_leak(hub)


def test_batch_line_with_consent_given_in_the_future_is_refused(hub: Hub) -> None:
    body = hub.body(consent={**CONSENT, "given_at": "2099-01-01T00:00:00Z"})
    answer = hub.ask("POST", "/v1/referrals:batch", content=json.dumps(body).encode())
    (result,) = [json.loads(line) for line in answer.text.splitlines()]
    assert result["status"] == 422
    assert [error["pointer"] for error in result["problem"]["errors"]] == ["/consent/given_at"]


@pytest.mark.parametrize("missing", ["needs", "urgency", "region", "consent", "case"])
def test_body_with_missing_member_is_refused(hub: Hub, missing: str) -> None:
    body = hub.body()
    del body[missing]
    problem(hub.submit(body), 422, "invalid-submission", f"/{missing}")


@pytest.mark.parametrize("value", [None, True, 5, 1.5, 10**30, MARKER, "", [], [[]], {}, [None], [{}]])
def test_wrong_value_is_refused_at_its_pointer(hub: Hub, value: object) -> None:
    paths = [(name,) for name in document()] + [("consent", name) for name in CONSENT]
    for path in paths:
        body = hub.body(consent=dict(CONSENT))
        (body if len(path) == 1 else body["consent"])[path[-1]] = value
        answer = hub.submit(body)
        if answer.status_code != 202:
            assert answer.status_code == 422, (path, answer.text)
            assert all(e["pointer"].startswith("/" + "/".join(path)) for e in answer.json()["errors"])
    assert_no_leak(hub)


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_body_that_is_not_an_object_is_refused(hub: Hub, body: object) -> None:
    answer = hub.ask("POST", "/v1/referrals", content=json.dumps(body).encode())
    problem(answer, 422, "invalid-submission", "")


def test_case_not_sealed_to_expected_key_is_refused(hub: Hub) -> None:
    plain = ".".join(["e30", "bmFtZQ", "bmFtZQ", MARKER, "bmFtZQ"])
    cases = {
        "not sealed": hub.body(case=plain),
        "to a stranger": hub.body(case=seal({}, public_key(generate_key()))),
        "to the receiver, who is not named": hub.body(case=hub.sealed(MOSCOW)),
        "to the hub, not to the receiver": hub.body(to=MOSCOW),
    }
    for body in cases.values():
        problem(hub.submit(body), 422, "case-not-sealed", "/case")
    assert_no_leak(hub)


def test_referral_to_unknown_or_keyless_receiver_is_refused(hub: Hub) -> None:
    problem(hub.submit(hub.body(to="kg.nobody")), 422, "unknown-organization", "/to")
    problem(hub.submit(hub.body(to=KEYLESS)), 422, "receiver-has-no-key", "/to")


def test_referral_of_suspended_or_unknown_sender_is_refused(hub: Hub) -> None:
    problem(hub.submit(by=SUSPENDED), 403, "forbidden")
    problem(hub.submit(by="kg.nobody"), 403, "forbidden")


def test_preview_over_http_leaves_no_trace(hub: Hub, routing: FakeRouting) -> None:
    path, facts = "/v1/referrals:preview", {k: v for k, v in document().items() if k != "case"}
    routing.answers["preview"] = found = {
        "candidates": "1-4",
        "half_answered_seconds": None,
        "found_nobody": None,
        "more_by_language": {"uz": "1-4"},
        "more_by_region": {},
        "only_by_kind": {},
        "parts": [{"needs": ["work"], "candidates": "1-4"}],
        "would_split": False,
    }
    answer = hub.ask("POST", path, json=facts)
    assert (answer.status_code, answer.json()) == (200, found)
    problem(hub.ask("POST", path, json=facts, key="one"), 400, "idempotency-key-unsupported")
    problem(hub.ask("POST", path, json={**facts, "case": MARKER}), 422, "invalid-submission", "/case")
    problem(hub.ask("POST", path, json={**facts, "region": MARKER}), 422, "invalid-submission", "/region")
    problem(hub.ask("POST", path, json=facts, role="coordinator"), 403, "forbidden")
    assert_no_leak(hub)


def test_large_body_is_refused_without_being_read(hub: Hub) -> None:
    content = MARKER.encode() * (10_485_760 // len(MARKER))
    for path in ("/v1/referrals", "/v1/referrals:batch", f"/v1/offers/{OFFER}/accept"):
        problem(hub.ask("POST", path, content=content), 413, "body-too-large")
    assert_no_leak(hub)


def test_missing_invalid_or_foreign_token_is_refused(hub: Hub) -> None:
    def post(authorization: str | None) -> httpx.Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        return httpx.post(hub.service.url + "/v1/referrals", headers=headers, json=hub.body())

    other = TokenSigner(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True), issuer_of(HUB))
    foreign = other.issue(Principal(id=OSH, roles=frozenset({"partner"})), now=dt.datetime.now(dt.UTC))
    for authorization, slug in (
        (None, "missing-token"),
        (f"Basic {MARKER}", "missing-token"),
        (f"Bearer {MARKER}", "invalid-token"),
        (f"Bearer {hub.token()[:-4]}AAAA", "invalid-token"),
        (f"Bearer {foreign}", "invalid-token"),
        (f"Bearer {hub.token(age=3600)}", "expired-token"),
    ):
        answer = post(authorization)
        problem(answer, 401, slug)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    problem(hub.ask("POST", "/v1/referrals", role="auditor", json=hub.body()), 403, "forbidden")
    problem(hub.ask("POST", f"/v1/offers/{OFFER}/accept", role="coordinator"), 403, "forbidden")
    assert_no_leak(hub)


def test_same_key_with_other_body_conflicts_over_http(hub: Hub) -> None:
    admitted(hub.submit(key="conflict"))
    problem(hub.submit(key="conflict"), 409, "idempotency-conflict")
    admitted(hub.submit(key="conflict", by=MOSCOW))
    problem(hub.submit(key="x" * 256), 400, "invalid-parameter")


def test_referral_or_offer_of_others_is_not_found(hub: Hub, routing: FakeRouting) -> None:
    referral, offer = admitted(hub.submit()), new_id()
    routing.answers["offer"] = [referral, MOSCOW]
    try:
        of_others = hub.ask("POST", f"/v1/offers/{offer}/accept", by=STRANGER)
        routing.answers["offer"] = None
        unknown = hub.ask("POST", f"/v1/offers/{new_id()}/accept", by=STRANGER)
    finally:
        del routing.answers["offer"]
    problem(of_others, 404, "not-found")
    assert of_others.json() == unknown.json()
    for path, body in (
        ("withdraw", {"reason": "other"}),
        ("progress", {"status": "on_hold"}),
        ("complete", {"outcome": "resolved"}),
        ("hand-back", {"reason": "language"}),
        ("notes", {"note": hub.sealed(OSH)}),
        ("consent/revoke", {}),
    ):
        of_others = hub.ask("POST", f"/v1/referrals/{referral}/{path}", by=STRANGER, json=body)
        unknown = hub.ask("POST", f"/v1/referrals/{new_id()}/{path}", by=STRANGER, json=body)
        problem(of_others, 404, "not-found")
        assert of_others.json() == unknown.json()


def test_invalid_command_body_is_refused(hub: Hub) -> None:
    for path, body, pointer in (
        (f"offers/{OFFER}/accept", {"note": MARKER}, "/note"),
        (f"offers/{OFFER}/decline", {"reason": MARKER}, "/reason"),
        (f"offers/{OFFER}/decline", {"reason": "other"}, "/note"),
        (f"offers/{OFFER}/decline", {"reason": "language", "note": "+996 555 123 456"}, "/note"),
        (f"referrals/{REFERRAL}/withdraw", {}, "/reason"),
        (f"referrals/{REFERRAL}/progress", {"status": MARKER}, "/status"),
        (f"referrals/{REFERRAL}/complete", {"outcome": MARKER}, "/outcome"),
        (f"referrals/{REFERRAL}/hand-back", {"reason": MARKER}, "/reason"),
        (f"referrals/{REFERRAL}/notes", {"note": MARKER}, "/note"),
        (f"referrals/{REFERRAL}/consent/revoke", {"why": MARKER}, "/why"),
    ):
        problem(hub.ask("POST", f"/v1/{path}", json=body), 422, "invalid-submission", pointer)
    problem(
        hub.ask("POST", f"/v1/referrals/{REFERRAL}/notes", json={"note": "Call.her.at.this.number"}),
        422,
        "case-not-sealed",
        "/note",
    )
    assert_no_leak(hub)


def test_invalid_path_or_parameter_is_refused(hub: Hub) -> None:
    problem(hub.ask("GET", f"/v1/referrals/{MARKER}"), 404, "not-found")
    problem(hub.ask("POST", f"/v1/offers/{MARKER}/accept"), 404, "not-found")
    problem(hub.ask("GET", f"/v1/{MARKER}"), 404, "not-found")
    problem(hub.ask("DELETE", f"/v1/referrals/{REFERRAL}"), 405, "method-not-allowed")
    problem(hub.ask("GET", f"/v1/referrals?status={MARKER}"), 400, "invalid-parameter", "/status")
    problem(hub.ask("GET", f"/v1/referrals?limit={MARKER}"), 400, "invalid-parameter", "/limit")
    problem(hub.ask("GET", f"/v1/referrals?after={MARKER}"), 400, "invalid-cursor", "/after")
    problem(hub.ask("GET", "/v1/referrals?limt=1"), 400, "invalid-parameter", "/limt")
    for cursor in made_cursors("referrals"):
        problem(hub.ask("GET", f"/v1/referrals?after={cursor}"), 400, "invalid-cursor", "/after")
    assert_no_leak(hub)


def test_error_response_is_bounded_in_size(hub: Hub) -> None:
    answer = hub.submit(hub.body(needs=["x"] * 9_000))
    problem(answer, 422, "invalid-submission", "/needs")
    answer = hub.submit({**hub.body(), **{f"field-{number}": 1 for number in range(4_000)}})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 50
    line = json.dumps({f"field-{number}": 1 for number in range(500)}).encode()
    answer = hub.ask("POST", "/v1/referrals:batch", content=b"\n".join([line] * 900))
    assert len(answer.content) < 5_000_000


def test_unreadable_directory_record_is_dead_lettered_and_next_one_applied(hub: Hub) -> None:
    newcomer = "uz.newcomer"
    good = outgoing(event(OrganizationChanged(revision=2, organization=organization(newcomer)), newcomer))
    poison = json.loads(good.body)
    poison |= {"id": new_id(), "data": {"revision": 3, "organization": {"id": MARKER, "kind": "guild"}}}
    hub.publish([replace(good, message_id=poison["id"], body=json.dumps(poison).encode()), good])
    until(lambda: hub.submit(by=newcomer).status_code == 202, "the newcomer's record", within=LONG)
    assert hub.metric('kopuro_messages_consumed_total{consumer="intake.directory",result="parked"}') == 1
    assert MARKER not in hub.service.log.read_text()


# --- Outages -----------------------------------------------------------------


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A broker that these tests may kill. Every test leaves it running, and has its own virtual host."""
    with PrivateBroker(tmp_path_factory.mktemp("broker")) as running:
        yield running


def assert_unavailable_in_time(made: Hub, referral: str) -> None:
    for path in (f"/v1/referrals/{referral}", "/v1/referrals"):
        started = time.monotonic()
        answer = made.ask("GET", path)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert time.monotonic() - started < DEADLINE_SECONDS + 2
    problem(made.ask("POST", f"/v1/offers/{OFFER}/accept"), 503, "unavailable")


def test_without_broker_referrals_are_admitted_and_reads_fail_in_time(
    own_broker: PrivateBroker, tmp_path: Path
) -> None:
    made = Hub(tmp_path, own_broker.add_vhost("killed"))
    with made.service:
        made.publish_directory()
        made.service.until_ready()
        own_broker.flush_declarations()
        own_broker.kill()
        referral = admitted(made.submit())
        assert_unavailable_in_time(made, referral)
    with made.service:  # after a restart it reads members and token key from its own replica
        another = admitted(made.submit())
        assert_unavailable_in_time(made, another)
        own_broker.start()
        with made.published_referrals() as take:
            assert {event.partition_key for event in take(4)} == {referral, another}


def test_process_started_without_broker_serves_after_broker_starts(
    own_broker: PrivateBroker, tmp_path: Path
) -> None:
    made = Hub(tmp_path, own_broker.add_vhost("stopped"))
    own_broker.stop()
    with made.service:
        ready = httpx.get(made.service.operations_url + "/readyz")
        assert ready.status_code == 503
        own_broker.start()
        made.publish_directory()
        made.service.until_ready()
        admitted(made.submit())


def test_admitted_referrals_survive_killed_process(hub_vhost: str, tmp_path: Path) -> None:
    made = Hub(tmp_path, hub_vhost)
    with made.service:
        made.publish_directory()
        made.service.until_ready()
        bodies = {f"key-{number}": made.body() for number in range(20)}
        with ThreadPoolExecutor(20) as callers:
            answers = dict(
                zip(bodies, callers.map(lambda key: made.submit(bodies[key], key=key), bodies), strict=True)
            )
            made.service.process.kill()
        referrals = {key: admitted(answer) for key, answer in answers.items()}
        with made.service, made.published_referrals() as take:
            events = take(2 * len(referrals))
            assert {event.partition_key for event in events} == set(referrals.values())
            made.service.until_ready()
            again = {key: admitted(made.submit(bodies[key], key=key)) for key in bodies}
            assert again == referrals
