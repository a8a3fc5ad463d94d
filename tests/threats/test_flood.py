"""A member submits and asks without pause, over HTTP and AMQP: others are served, and its cost is bounded.

The tests count. `python -m benchmarks flood` measures how much others are delayed.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest

from admin.keys import public_half
from contracts.case import Document
from contracts.records import plain
from kopuro_client.sealing import seal
from runtime.access.held_refusals import HOLD_ADDRESS_SECONDS, HOLD_SECONDS
from runtime.web.arriving_lines import LARGEST_PIECE, MOST_SEPARATORS
from sandbox import network
from sandbox.hub import Hub
from tests.journey.waiting import until
from tests.support.amqp_hub import AmqpHub
from tests.support.partners import ask_for_token

HOSTILE = "kg.osh-legal-aid"
VICTIM = "kg.suusar-hotline"
WAGES = "wage-claim-osh-moscow"
BURST: Final = 20
PER_MINUTE: Final = 60
REQUESTS: Final = 600
CLIENTS: Final = 32
_UNKNOWN: Final = "018f0000-0000-7000-8000-000000000001"
# Refusals of an organisation and of an address that are sent at once, and in a minute.
_AT_ONCE: Final = 20
_AT_ONCE_OF_ADDRESS: Final = 600


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AmqpHub]:
    """A hub with low limits, so that a few requests are a flood."""
    environment = {name: value for name, value in os.environ.items() if name != "KOPURO_AMQP_URI"}
    environment["KOPURO_SUBMISSIONS_BURST"] = str(BURST)
    environment["KOPURO_SUBMISSIONS_PER_MINUTE"] = str(PER_MINUTE)
    environment["KOPURO_CUSTODY_MIB"] = "16"  # two at once
    environment["KOPURO_REQUESTS_PER_MINUTE"] = str(REQUESTS)
    running = Hub(tmp_path_factory.mktemp("flood") / "data", environment=environment, amqp=True)
    try:
        running.start()
        made = AmqpHub(running)
        key = public_half(json.loads(running.files.key("gateway").read_text(encoding="utf-8")))
        for organization in (HOSTILE, VICTIM):
            made.connect(organization, key)
        yield made
    finally:
        running.stop()


class Door:
    """Intake's resources, as one organisation or with an invalid token."""

    def __init__(self, hub: AmqpHub, organization: str | None) -> None:
        services = json.loads(hub.hub.files.discovery.read_text(encoding="utf-8"))["services"]
        self.url = services["intake"]
        token = "x"
        if organization is not None:
            client = hub.hub.files.people()["organizations"][organization]
            answer = ask_for_token(services["directory"], client["client_id"], client["client_secret"])
            token = answer.json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        return httpx.request(method, self.url + path, headers=self.headers, content=body, timeout=60)

    def flood(
        self, method: str, path: str, body: bytes = b"", *, seconds: float
    ) -> tuple[Counter[int], float]:
        """Repeat a request with many clients as soon as it is answered; count the answers by status.

        Returns also the seconds until the last was answered.
        """
        answers: Counter[int] = Counter()
        started = time.monotonic()
        counting = threading.Lock()

        def client(_: int) -> None:
            with httpx.Client(headers=self.headers, timeout=60) as http:
                while time.monotonic() - started < seconds:
                    status = http.request(method, self.url + path, content=body).status_code
                    with counting:
                        answers[status] += 1

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(client, range(CLIENTS)))
        return answers, time.monotonic() - started


def most_refusals(at_once: int, seconds: float, held: float) -> float:
    """Return how many refusals the clients can get: some at once, and each client one for each time held.

    held: the longest time; the shortest is half of it.
    """
    return at_once * (1 + seconds / 60) + CLIENTS * (1 + 2 * seconds / held)


def referral(hub: AmqpHub, **changes: Any) -> dict[str, Any]:
    sample = network.load().referral(WAGES)
    document = json.loads(hub.hub.files.discovery.read_text(encoding="utf-8"))
    case = seal(plain(sample.case), document["custody_key"])
    return {**plain(sample.facts), "to": None, "case": case, **changes}


def test_flood_of_submissions_gets_its_rate_and_its_refusals_are_slow(hub: AmqpHub) -> None:
    hostile, victim = Door(hub, HOSTILE), Door(hub, VICTIM)
    body = json.dumps(referral(hub)).encode()
    seconds = 12.0
    with ThreadPoolExecutor(1) as attack:
        flooding = attack.submit(hostile.flood, "POST", "/v1/referrals", body, seconds=seconds)
        time.sleep(3)
        others = [
            victim.ask("GET", "/v1/referrals?limit=1"),
            victim.ask("POST", "/v1/referrals", json.dumps(referral(hub)).encode()),
        ]
        answers, lasted = flooding.result()
    assert [answer.status_code for answer in others] == [200, 202]
    assert answers.keys() <= {202, 429}
    assert BURST <= answers[202] <= BURST + PER_MINUTE * lasted / 60 + 1
    assert 0 < answers[429] <= most_refusals(_AT_ONCE, lasted, HOLD_SECONDS)


def test_refusal_names_both_policies_and_the_time(hub: AmqpHub) -> None:
    answer = Door(hub, HOSTILE).ask(
        "POST", "/v1/referrals:batch", b"\n".join([json.dumps(referral(hub)).encode()] * 60)
    )
    found = [json.loads(line) for line in answer.text.splitlines()]
    if answer.status_code == 200:  # a part of the rate was left
        assert {one["status"] for one in found} == {202, 429}
        found = [one["problem"] for one in found if one["status"] == 429]
        answer = Door(hub, HOSTILE).ask("POST", "/v1/referrals:batch", b"{}")
    assert answer.status_code == 429
    assert answer.json()["retry_after"] == int(answer.headers["Retry-After"])
    policies = answer.headers["RateLimit-Policy"]
    assert policies == f'"organization";q={REQUESTS // 6};w=10, "referrals";q={BURST};w={BURST}'
    assert '"referrals";r=0;t=' in answer.headers["RateLimit"]


def test_nested_line_is_refused_before_the_rest_of_it_is_sent(hub: AmqpHub) -> None:
    third = next(name for name in hub.hub.files.people()["organizations"] if name not in (HOSTILE, VICTIM))
    door = Door(hub, third)
    host, port = door.url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/submissions:batch HTTP/1.1\r\nHost: intake\r\nContent-Length: {8 * 1024 * 1024}\r\n"
        f"Authorization: {door.headers['Authorization']}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + b"[" * (MOST_SEPARATORS + LARGEST_PIECE))
        answer = b""
        while piece := connection.recv(4096):  # until intake closes: it waits for nothing more
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"urn:kopuro:problem:body-too-large" in answer


def test_cases_beyond_the_rate_of_bytes_are_refused_and_ended_ones_leave_custody(hub: AmqpHub) -> None:
    fourth = sorted(hub.hub.files.people()["organizations"])[-1]
    assert fourth not in (HOSTILE, VICTIM)
    sample = network.load().referral(WAGES)
    custody_key = json.loads(hub.hub.files.discovery.read_text(encoding="utf-8"))["custody_key"]
    document = Document(name="scan.pdf", media_type="application/pdf", content="x" * 700_000)
    case = seal(plain(replace(sample.case, documents=(document,))), custody_key)
    large = json.dumps(referral(hub, case=case)).encode()
    door = Door(hub, fourth)
    results = [
        json.loads(line)
        for line in door.ask("POST", "/v1/referrals:batch", b"\n".join([large] * 3)).text.splitlines()
    ]
    assert [one["status"] for one in results] == [202, 202, 429]
    assert results[2]["problem"]["type"] == "urn:kopuro:problem:too-many-submissions"

    def in_custody() -> list[tuple[str]]:
        with closing(sqlite3.connect(hub.hub.files.database("intake"))) as database:
            return database.execute(
                "SELECT referral_id FROM cases_in_custody WHERE sender = ?", (fourth,)
            ).fetchall()

    assert sorted(in_custody()) == sorted((one["id"],) for one in results[:2])
    for one in results[:2]:
        withdrawn = door.ask("POST", f"/v1/referrals/{one['id']}/withdraw", b'{"reason":"placed_elsewhere"}')
        assert withdrawn.status_code == 202
    until(lambda: not in_custody(), "no case in custody")


def test_library_gets_a_batch_beyond_the_rate_admitted(hub: AmqpHub) -> None:
    case = plain(network.load().referral(WAGES).case)
    facts = {**plain(network.load().referral(WAGES).facts), "to": None}
    with hub.partner(VICTIM) as client:
        results = client.submit_batch([{**facts, "case": case}] * (BURST + 10))
        assert {one["status"] for one in results} == {202}
        assert len({one["id"] for one in results}) == BURST + 10


def test_flood_over_amqp_waits_in_its_own_queue_and_loses_nothing(hub: AmqpHub) -> None:
    flood = BURST + 15
    with hub.program(HOSTILE) as hostile, hub.program(VICTIM) as victim:
        document = {"submit": "referral", **referral(hub)}
        sent = [hostile.submit(document) for _ in range(flood)]
        mine = victim.submit({"submit": "progress", "referral_id": _UNKNOWN, "status": "in_progress"})
        assert victim.answer_to(mine)["problem"]["type"] == "urn:kopuro:problem:not-found"
        answers = [hostile.answer_to(key) for key in sent]
    assert not any("problem" in answer for answer in answers)
    assert len({answer["submission_id"] for answer in answers}) == flood


def test_flood_with_an_invalid_token_is_slow_and_delays_no_valid_one(hub: AmqpHub) -> None:
    unknown, victim = Door(hub, None), Door(hub, VICTIM)
    with ThreadPoolExecutor(1) as attack:
        flooding = attack.submit(unknown.flood, "GET", "/v1/referrals", seconds=10)
        time.sleep(3)
        assert victim.ask("GET", "/v1/referrals?limit=1").status_code == 200
        answers, lasted = flooding.result()
    assert answers.keys() == {401}
    assert answers[401] <= most_refusals(_AT_ONCE_OF_ADDRESS, lasted, HOLD_ADDRESS_SECONDS)
