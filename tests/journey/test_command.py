"""The `kopuro` command against a running hub: one referral, from its submission to its history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.records import plain
from tests.journey.running_hub import STRANGER, RunningHub

KEY = "consulate-forbidden"
KOPURO = str(Path(sys.executable).with_name("kopuro"))
REFUSED = 3


@pytest.mark.parametrize("hub", ["sqlite"], indirect=True)
def test_a_referral_is_submitted_accepted_and_closed_from_the_command_line(
    hub: RunningHub, tmp_path: Path
) -> None:
    sample = hub.network.referral(KEY)
    file = tmp_path / "referral.json"
    file.write_text(json.dumps({**plain(sample.facts), "case": plain(sample.case)}), encoding="utf-8")

    referral_id = _run(hub, sample.sender, "referral", "submit", str(file), "--json")["id"]
    acceptor = hub.theatre.offers(hub.organization(sample.sender), referral_id)[0].id
    letters = _run(hub, acceptor, "mailbox", "list", "--json")["items"]
    (letter,) = [one for one in letters if one["data"].get("referral_id") == referral_id]
    _run(hub, acceptor, "mailbox", "ack", letter["id"])
    _run(hub, acceptor, "offer", "accept", letter["data"]["offer_id"], "--json")
    hub.organization(acceptor).await_message("case.released", referral_id)
    opened = _run(hub, acceptor, "case", "show", referral_id, "--json")
    assert opened["case"]["name"] == sample.case.name
    _run(hub, acceptor, "referral", "complete", referral_id, "resolved", "--json")
    hub.history(referral_id, last="referral.completed")

    shown = _run(hub, sample.sender, "referral", "show", referral_id, "--json")
    assert (shown["status"], shown["outcome"]) == ("completed", "resolved")
    recorded = _run(hub, "auditor", "history", referral_id, "--json")["items"]
    assert recorded[0]["type"] == "kopuro.referral.submitted.v1"
    words = _command(hub, sample.sender, "referral", "show", referral_id)
    assert "completed" in words.stdout
    assert "\x1b" not in words.stdout
    stranger = _command(hub, STRANGER, "referral", "show", referral_id)
    assert (stranger.returncode, stranger.stdout) == (REFUSED, "")
    assert "Traceback" not in stranger.stderr


def _run(hub: RunningHub, who: str, *arguments: str) -> Any:
    """What a command prints as JSON; None where it prints nothing."""
    done = _command(hub, who, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def _command(hub: RunningHub, who: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [KOPURO, *arguments, "--as", who],
        env={
            **os.environ,
            "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
            "KOPURO_CREDENTIALS": str(hub.files.credentials),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
