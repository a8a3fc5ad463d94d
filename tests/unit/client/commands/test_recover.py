from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.client.commands.conftest import Run
from tests.unit.client.commands.samples import OFFER_OPENED
from tests.unit.client.fake_hub import FakeHub, json_response, problem

MAILBOX = "/delivery/v1/mailbox"
SINCE = "2026-11-26T18:00:00Z"


def named(message_id: str) -> dict[str, Any]:
    return {**OFFER_OPENED, "id": message_id}


def test_recovery_reads_every_page_and_prints_each_message_once(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script(
        "GET",
        MAILBOX,
        json_response({"items": [named("a"), named("b")], "next": "1", "resume": "1"}),
        json_response({"items": [named("b"), named("c")], "next": None, "resume": "2"}),
    )
    ran = run("recover", "--since", SINCE, "--json")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["a", "b", "c"]
    assert "3 messages" in ran.err
    first, second = hub.requests_to(MAILBOX)
    assert (first.query["from"], first.query.get("after")) == (SINCE, None)
    assert (second.query["from"], second.query["after"]) == (SINCE, "1")
    assert all(request.method == "GET" for request in hub.requests_to(MAILBOX))


def test_recovery_leaves_out_the_ids_that_the_program_knows(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("a\nc\n")
    hub.script("GET", MAILBOX, json_response({"items": [named("a"), named("b"), named("c")], "next": None}))
    ran = run("recover", "--since", SINCE, "--known", str(known), "--type", "offer.opened")
    (line,) = ran.out.splitlines()
    assert "message=b" in line
    assert hub.requests_to(MAILBOX)[0].query["type"] == "offer.opened"


def test_time_that_the_hub_refuses_is_named_as_the_option(hub: FakeHub, run: Run) -> None:
    hub.script(
        "GET", MAILBOX, problem(400, "invalid-parameter", "A parameter is invalid", detail="`from` ...")
    )
    ran = run("recover", "--since", "yesterday")
    assert (ran.code, ran.out) == (2, "")
    assert "--since must be a time" in ran.err
    assert "from" not in ran.err


def test_trigger_needs_a_sandbox_and_sends_the_given_data(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"referral_id": "r1"}')
    messages = "/delivery/v1/sandbox/messages"
    hub.script("POST", messages, json_response({"id": "m1"}, status=201))
    assert run("trigger", "offer.opened", str(file), "--json").json() == {"id": "m1"}
    (sent,) = hub.requests_to(messages)
    assert sent.json() == {"type": "offer.opened", "data": {"referral_id": "r1"}}
    for flag in ("true", False, None):
        hub.script("GET", "/.well-known/kopuro", json_response({**hub.discovery, "sandbox": flag}))
    for _ in range(3):
        ran = run("trigger", "offer.opened", str(file))
        assert (ran.code, len(hub.requests_to(messages))) == (2, 1)
        assert "not a sandbox" in ran.err
