"""The `kopuro` command against a running hub: one referral from submission to history."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.records import plain
from runtime.identifiers import new_id
from tests.journey.running_hub import STRANGER, RunningHub
from tests.support.kopuro_forks import Kopuro

KEY = "consulate-forbidden"
REFUSED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """Runs `kopuro` against a hub."""

    hub: RunningHub
    program: str

    def run(self, who: str, *arguments: str) -> Any:
        """Run a command and return its JSON output; None if there is no output."""
        done = self.ran(who, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def ran(self, who: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *arguments, "--as", who],
            env={
                **os.environ,
                "KOPURO_DISCOVERY_URL": self.hub.files.discovery_address(),
                "KOPURO_CREDENTIALS": str(self.hub.files.credentials),
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def commands(hub: RunningHub, kopuro: Kopuro) -> Commands:
    return Commands(hub=hub, program=kopuro.program)


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_referral_is_submitted_accepted_and_closed_by_command(
    hub: RunningHub, commands: Commands, tmp_path: Path
) -> None:
    sample = hub.network.referral(KEY)
    file = tmp_path / "referral.json"
    file.write_text(json.dumps({**plain(sample.facts), "case": plain(sample.case)}), encoding="utf-8")

    referral_id = commands.run(sample.sender, "referral", "submit", str(file), "--json")["id"]
    acceptor = hub.demo.offers(hub.organization(sample.sender), referral_id)[0].id
    letters = commands.run(acceptor, "mailbox", "list", "--json")["items"]
    (letter,) = [one for one in letters if one["data"].get("referral_id") == referral_id]
    commands.run(acceptor, "mailbox", "ack", letter["id"])
    commands.run(acceptor, "offer", "accept", letter["data"]["offer_id"], "--json")
    hub.organization(acceptor).await_message("case.released", referral_id)
    opened = commands.run(acceptor, "case", "show", referral_id, "--json")
    assert opened["case"]["name"] == sample.case.name
    commands.run(acceptor, "referral", "complete", referral_id, "resolved", "--json")
    hub.history(referral_id, last="referral.completed")

    shown = commands.run(sample.sender, "referral", "show", referral_id, "--json")
    assert (shown["status"], shown["outcome"]) == ("completed", "resolved")
    recorded = commands.run("auditor", "history", referral_id, "--json")["items"]
    assert recorded[0]["type"] == "kopuro.referral.submitted.v1"
    words = commands.ran(sample.sender, "referral", "show", referral_id)
    assert "completed" in words.stdout
    assert "\x1b" not in words.stdout
    stranger = commands.ran(STRANGER, "referral", "show", referral_id)
    assert (stranger.returncode, stranger.stdout) == (REFUSED, "")
    assert "Traceback" not in stranger.stderr


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_documented_curl_line_then_command_under_one_key_is_one_referral(
    hub: RunningHub, commands: Commands, tmp_path: Path
) -> None:
    """docs/integrating.md, sections 3 and 5: either may repeat the other."""
    sample = hub.network.referral(KEY)
    file, sealed = tmp_path / "referral.json", tmp_path / "sealed.json"
    file.write_text(json.dumps({**plain(sample.facts), "case": plain(sample.case)}), encoding="utf-8")
    sealed.write_text(commands.ran(sample.sender, "case", "seal", str(file)).stdout, encoding="utf-8")

    # curl's --data leaves the line ends of a file out.
    body = sealed.read_text(encoding="utf-8").replace("\n", "")
    first = _post(hub, sample.sender, "/v1/referrals", body, key="our-number-4711")
    submit = ("referral", "submit", str(sealed), "--idempotency-key", "our-number-4711", "--json")
    assert commands.run(sample.sender, *submit) == first

    acceptor, offer = hub.next_offer(hub.organization(sample.sender), first["id"])
    answered = _post(hub, acceptor.id, f"/v1/offers/{offer}/accept", "{}", key="our-answer-4711")
    accept = ("offer", "accept", offer, "--idempotency-key", "our-answer-4711", "--json")
    assert commands.run(acceptor.id, *accept) == answered
    hub.organization(acceptor.id).await_message("case.released", first["id"])
    acceptor.hub.complete(first["id"], "resolved")
    recorded = [entry["type"] for entry in hub.history(first["id"], last="referral.completed")]
    for once in ("referral.submitted", "answer.submitted", "offer.accepted"):
        assert recorded.count(f"kopuro.{once}.v1") == 1


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_restored_partner_recovers_what_it_acknowledged_and_an_archive_reads_it_too(
    hub: RunningHub, commands: Commands, tmp_path: Path
) -> None:
    since = dt.datetime.now(dt.UTC).isoformat()
    file = tmp_path / "data.json"
    data = {"referral_id": new_id(), "organization": STRANGER, "kid": "a-key"}
    file.write_text(json.dumps(data))
    made = commands.run(STRANGER, "trigger", "case.released", str(file), "--json")["id"]
    commands.run(STRANGER, "mailbox", "put-consumer", "archive", "--type", "case.released")
    listed = commands.run(STRANGER, "mailbox", "list", "--type", "case.released", "--json")["items"]
    (message,) = [one for one in listed if one["id"] == made]
    assert (message["data"], message["source"]) == (data, "/kg/sandbox")
    commands.run(STRANGER, "mailbox", "ack", made)

    lines = commands.ran(STRANGER, "recover", "--since", since, "--json").stdout.splitlines()
    assert [one for line in lines if (one := json.loads(line))["id"] == made] == [message]
    archived = commands.run(STRANGER, "mailbox", "list", "--consumer", "archive", "--json")["items"]
    assert message in archived
    commands.run(STRANGER, "mailbox", "ack", "--consumer", "archive", *(one["id"] for one in archived))
    (archive,) = commands.run(STRANGER, "mailbox", "consumers", "--json")["items"]
    assert (archive["name"], archive["waiting_since"]) == ("archive", None)
    commands.run(STRANGER, "mailbox", "delete-consumer", "archive")


def _post(hub: RunningHub, who: str, path: str, body: str, *, key: str) -> Any:
    answer = httpx.post(
        hub.address("intake") + path,
        content=body.encode(),
        headers={
            "Authorization": f"Bearer {hub.token(who)}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
    )
    assert answer.status_code == 202, answer.text
    return answer.json()
