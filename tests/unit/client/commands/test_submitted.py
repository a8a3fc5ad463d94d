"""Commands announce after a 202 only what will come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kopuro_client import generate_key, public_key
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, json_response

RESULT = "the result will arrive in the mailbox"
SAID = {
    ("referral", "submit", "FILE"): "the answers to it will arrive in the mailbox",
    ("referral", "withdraw", "r1", "--reason", "other", "--yes"): RESULT,
    ("referral", "progress", "r1"): RESULT,
    ("referral", "complete", "r1", "resolved"): RESULT,
    ("referral", "revoke-consent", "r1", "--yes"): RESULT,
    (
        *("referral", "note", "r1", "text", "--to", "kg.other"),
    ): "the mailbox gets a message only if it is refused or cannot be read",
    ("offer", "accept", "o1"): RESULT,
    ("offer", "decline", "o1", "--reason", "language"): "the mailbox gets a message only if it is refused",
    ("case", "unreadable", "r1"): "its sender is asked to send it again",
    ("case", "replace", "r1", "FILE"): "the mailbox gets a message only if it is refused",
    ("coordination", "place", "r1", "kg.other", "--yes"): RESULT,
    ("coordination", "nudge", "r1", "--reason", "no_answer", "--yes"): RESULT,
    ("coordination", "move-on", "r1", "--reason", "no_answer", "--yes"): RESULT,
}


@pytest.mark.parametrize("line", SAID, ids=lambda line: " ".join(line[:2]))
def test_submitting_command_announces_what_arrives(
    hub: FakeHub, run: Run, tmp_path: Path, line: tuple[str, ...]
) -> None:
    file = tmp_path / "referral.json"
    file.write_text(json.dumps({"needs": ["shelter"], "case": {"name": "A"}}))
    hub.script(
        "GET",
        "/directory/v1/organizations/kg.other",
        json_response({"id": "kg.other", "sealing_key": public_key(generate_key())}),
    )
    view = {"sender": "x", "acceptor": "kg.other", "facts": {"to": "kg.other"}}
    hub.script("GET", "/intake/v1/referrals/r1", json_response(view))
    hub.otherwise = json_response({"id": "s1"}, status=202)
    ran = run(*(str(file) if word == "FILE" else word for word in line))
    assert (ran.code, ran.out) == (0, "s1\n")
    assert ran.err.endswith(f"; {SAID[line]}\n")
