"""The loop between a scripted mailbox and a scripted target; the command; SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.unit.client.commands.samples import OFFER_OPENED
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

MAILBOX = "/delivery/v1/mailbox"
ACKNOWLEDGE = f"{MAILBOX}/{OFFER_OPENED['id']}/acknowledge"
SECOND = {**OFFER_OPENED, "id": "01930f6e-0000-7000-8000-000000000002"}
EMPTY = json_response({"items": [], "next": None, "resume": "2"})


def slow_silence() -> Response:
    time.sleep(0.2)
    return EMPTY


def page(*items: Any) -> Response:
    return json_response({"items": list(items), "next": None, "resume": "1"})


def started(hub: FakeHub, credentials: Path, *more: str) -> subprocess.Popen[str]:
    url = hub.url.removesuffix("/.well-known/kopuro") + "/mine"
    return subprocess.Popen(
        [sys.executable, "-m", "kopuro_client", "listen", url, *more],
        env={
            **os.environ,
            "KOPURO_DISCOVERY_URL": hub.url,
            "KOPURO_CREDENTIALS": str(credentials),
            "KOPURO_AS": "kg.osh-legal-aid",
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def test_message_is_acknowledged_only_after_success_and_order_of_its_referral_is_kept(
    hub: FakeHub, credentials: Path
) -> None:
    hub.script("GET", MAILBOX, page(OFFER_OPENED, SECOND), slow_silence)
    hub.script("POST", "/mine", problem(422, "no", "No"), Response(status=500), Response(status=204))
    hub.script("POST", ACKNOWLEDGE, Response(status=204))
    hub.script("POST", f"{MAILBOX}/{SECOND['id']}/acknowledge", problem(404, "not-found", "Not found"))
    process = started(hub, credentials, "--for", "1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    order = [
        (r.path, r.json()["id"] if r.path == "/mine" else "") for r in hub.received if r.method == "POST"
    ]
    first, second = OFFER_OPENED["id"], SECOND["id"]
    assert [entry for entry in order if entry[0] != "/directory/oauth/token"] == [
        ("/mine", first),
        ("/mine", first),
        ("/mine", first),
        (ACKNOWLEDGE, ""),
        ("/mine", second),
        (f"{MAILBOX}/{second}/acknowledge", ""),
    ]
    assert (
        f"message {first} (kopuro.offer.opened.v1) is not accepted (the target responded 422), attempt 1"
        in err
    )
    assert "is accepted after 2 failed attempts" in err
    assert "acknowledgement was refused" in err
    assert "Азамат" not in err
    assert hub.requests_to(MAILBOX)[-1].query["after"] in ("1", "2")


def test_outage_of_the_hub_does_not_count_as_time_without_a_message(hub: FakeHub, credentials: Path) -> None:
    busy = Response(status=503, headers={"Retry-After": "1"})

    def longer_silence() -> Response:
        time.sleep(1.2)
        return EMPTY

    # With the outage, more than two seconds have passed before the third read.
    hub.script("GET", MAILBOX, busy, longer_silence, page(OFFER_OPENED), slow_silence)
    hub.script("POST", "/mine", Response(status=204))
    hub.script("POST", ACKNOWLEDGE, Response(status=204))
    process = started(hub, credentials, "--for", "2")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert [request.json()["id"] for request in hub.requests_to("/mine")] == [OFFER_OPENED["id"]]


def test_sigterm_ends_a_long_poll_at_once_and_a_delivery_after_its_acknowledgement(
    hub: FakeHub, credentials: Path
) -> None:
    process: subprocess.Popen[str]

    def slow_acceptance() -> Response:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        return Response(status=204)

    hub.script("GET", MAILBOX, page(OFFER_OPENED, SECOND))
    hub.script("POST", "/mine", slow_acceptance)
    hub.script("POST", ACKNOWLEDGE, Response(status=204))
    process = started(hub, credentials)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped; 1 messages wait in the mailbox" in err
    assert len(hub.requests_to(ACKNOWLEDGE)) == 1
    assert len(hub.requests_to("/mine")) == 1


def test_consumer_is_created_with_its_types_and_contract(hub: FakeHub, credentials: Path) -> None:
    hub.script("GET", f"{MAILBOX}/consumers", json_response({"items": [], "next": None}))
    hub.script("PUT", f"{MAILBOX}/consumers/archive", json_response({"name": "archive"}))
    hub.script("GET", MAILBOX, slow_silence)
    process = started(hub, credentials, "--consumer", "archive", "--type", "offer.opened", "--for", "1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (put,) = hub.requests_to(f"{MAILBOX}/consumers/archive")
    assert put.json() == {"types": ["offer.opened"], "contract": "1"}
    query = hub.requests_to(MAILBOX)[0].query
    assert (query["consumer"], query["type"]) == ("archive", "offer.opened")


def test_listener_keeps_the_settings_of_a_consumer_that_exists(hub: FakeHub, credentials: Path) -> None:
    archive = {"name": "archive", "types": ["offer.opened"], "contract": "1"}
    hub.script("GET", f"{MAILBOX}/consumers", json_response({"items": [archive], "next": None}))
    hub.script("GET", MAILBOX, slow_silence)
    process = started(hub, credentials, "--consumer", "archive", "--for", "1")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert hub.requests_to(f"{MAILBOX}/consumers/archive") == [], "a PUT would make it read all types"
    assert hub.requests_to(MAILBOX)[0].query["consumer"] == "archive"
