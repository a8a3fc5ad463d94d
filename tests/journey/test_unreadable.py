"""A case or note that its receiver cannot read: it is reported to its author, who sends it again."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey

from contracts.records import plain
from sandbox.demo.participants import Participant
from tests.journey.command_process import CommandProcess
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

KEY = "second-candidate"
GUIDE = Path(__file__).parents[2] / "docs" / "integrating.md"

on_sqlite = pytest.mark.parametrize("hub", ["sqlite"], indirect=True)


def sealed(plaintext: bytes, key: dict[str, Any]) -> str:
    """Seal content that is not a valid case, under the id of the receiver's key."""
    public = OKPKey.import_key({name: key[name] for name in ("kty", "crv", "x")})
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": key["kid"]}
    return jwe.encrypt_compact(header, plaintext, public, algorithms=["ECDH-ES+A256KW", "A256GCM"])


def named_receiver(hub: RunningHub) -> Participant:
    """Return an organisation that can accept the sample referral."""
    sender, referral_id = hub.submit(KEY)
    receiver, offer_id = hub.next_offer(sender, referral_id)
    receiver.hub.decline(offer_id, "conflict_of_interest")
    sender.hub.withdraw(referral_id, "entered_in_error")
    return receiver


def submit_unreadable(hub: RunningHub, receiver: Participant, plaintext: bytes) -> tuple[Participant, str]:
    """Submit a referral with an unreadable case to that organisation; return its sender and id."""
    sender = hub.organization(hub.network.referral(KEY).sender)
    key = sender.hub.organization(receiver.id)["sealing_key"]
    assert key is not None
    facts = {**hub.facts(KEY), "to": receiver.id}
    return sender, sender.hub.submit(facts, sealed=sealed(plaintext, dict(key)))["id"]


def run_loop_of_guide(
    hub: RunningHub, receiver: Participant, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    """Run the documented loop as that organisation until no message has arrived for two seconds."""
    entry = hub.people["organizations"][receiver.id]
    (tmp_path / "key.json").write_text(json.dumps(entry["sealing_key"]))
    patch.setenv("KOPURO_SEALING_KEY", str(tmp_path / "key.json"))
    patch.setenv("KOPURO_DISCOVERY_URL", hub.files.discovery_address())
    patch.setenv("KOPURO_CLIENT_ID", entry["client_id"])
    patch.setenv("KOPURO_CLIENT_SECRET", entry["client_secret"])
    [program] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    shorter = program.replace("give_up_after=60", "give_up_after=2")
    exec(compile(shorter, "integrating.md", "exec"), {})  # noqa: S102  # our own guide


@pytest.mark.parametrize("plaintext", [b"hello", b'{"hello": 1}'])
def test_unreadable_case_is_reported_replaced_and_opened(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plaintext: bytes
) -> None:
    receiver = named_receiver(hub)
    sender, referral_id = submit_unreadable(hub, receiver, plaintext)
    offer = receiver.await_message("offer.opened", referral_id)
    receiver.hub.accept(offer["offer_id"])
    hub.history(referral_id, last="case.released")

    run_loop_of_guide(hub, receiver, tmp_path, monkeypatch)
    told = sender.await_message("case.unreadable", referral_id)
    assert (told["organization"], told["reason"]) == (receiver.id, "not_understood")
    # The loop continues: the mailbox is empty.
    assert receiver.hub.mailbox()["items"] == []

    case = plain(hub.network.referral(KEY).case)
    sender.hub.replace_case(referral_id, case)
    receiver.await_message("case.released", referral_id)
    assert receiver.hub.case(referral_id) == case
    receiver.hub.complete(referral_id, "resolved")
    sender.await_message("referral.completed", referral_id)
    entries = [e["type"].split(".", 1)[1] for e in hub.history(referral_id, last="case.erased")]
    for fact in ("unreadable.submitted.v1", "case.unreadable.v1", "replacement.submitted.v1"):
        assert entries.count(fact) == 1


@on_sqlite
def test_unreadable_note_is_reported_to_its_author(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, acceptor, referral_id = hub.accepted(KEY)
    key = hub.people["organizations"][acceptor.id]["sealing_key"]
    note = sealed(b"not even JSON", key)
    (result,) = sender.hub.submit_statements([{"submit": "note", "referral_id": referral_id, "note": note}])
    assert result["status"] == 202
    until(
        lambda: any(m["type"] == "kopuro.note.delivered.v1" for m in acceptor.hub.mailbox()["items"]),
        "the note in the mailbox",
    )
    run_loop_of_guide(hub, acceptor, tmp_path, monkeypatch)
    told = sender.await_message("note.unreadable", referral_id)
    assert (told["reader"], told["reason"]) == (acceptor.id, "not_understood")


@on_sqlite
def test_watch_continues_after_killed_service_and_reports_it(hub: RunningHub, tmp_path: Path) -> None:
    sender = hub.organization(hub.network.referral(KEY).sender)
    entry = hub.people["organizations"][sender.id]
    environment = {
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CLIENT_ID": entry["client_id"],
        "KOPURO_CLIENT_SECRET": entry["client_secret"],
    }
    with CommandProcess(tmp_path, "mailbox", "watch", "--json", environment=environment) as watch:
        watch.until_said("watching the mailbox")
        restarts = hub.restarts("delivery")
        os.kill(hub.pid("delivery"), signal.SIGKILL)
        watch.until_said("retrying until")
        until(lambda: hub.restarts("delivery") == restarts + 1, "the second start of delivery")
        watch.until_said("responds again")
        _, referral_id = hub.submit(KEY)
        asked, offer_id = hub.next_offer(sender, referral_id)
        asked.hub.decline(offer_id, "language")
        until(lambda: referral_id in watch.out, "the decline on stdout")
    said = watch.err.splitlines()
    assert sum("retrying until" in line for line in said) == 1
    assert sum("responds again" in line for line in said) == 1
    assert "Traceback" not in watch.err
