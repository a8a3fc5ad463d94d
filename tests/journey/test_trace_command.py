"""`kopuro trace` at each stage of a referral: whose turn it is, and what each viewer may see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kopuro_client import Kopuro
from kopuro_client.tracing.next_action import Action, Owner
from kopuro_client.tracing.trace import Trace
from tests.journey.command_process import KOPURO
from tests.journey.running_hub import STRANGER, RunningHub
from tests.journey.waiting import until

KEY = "second-candidate"

# A trace reads these on behalf of staff; the last one is the story, a read of the log.
RECORDED = {"GET /v1/submissions", "GET /v1/referrals/<id>", "GET /v1/deliveries/<id>", None}

on_sqlite = pytest.mark.parametrize("hub", ["sqlite"], indirect=True)


@contextmanager
def paused(hub: RunningHub, service: str) -> Iterator[None]:
    """Let a service stand still: alive, connected to the broker, and consuming nothing."""
    pid = hub.pid(service)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def turn(trace: Trace) -> tuple[Owner, Action]:
    return trace.next.owner, trace.next.action


def until_turn(viewer: Kopuro, id_: str, owner: Owner, action: Action) -> Trace:
    """Return the first trace in which it is that turn."""

    def look() -> Trace | None:
        trace = viewer.trace(id_)
        return trace if turn(trace) == (owner, action) else None

    return until(look, f"{owner}: {action}")


@on_sqlite
def test_trace_says_whose_turn_it_is_at_each_stage(hub: RunningHub) -> None:
    with paused(hub, "routing"):
        sender, referral = hub.submit(KEY)
        stuck = until_turn(sender.hub, referral, Owner.hub, Action.decide)
        assert stuck.silent == ("routing",)
        assert [(hop.service, hop.step) for hop in stuck.hops] == [("intake", "referral.submitted")]
        assert stuck.hops[0].published

    offered = until_turn(sender.hub, referral, Owner.other, Action.answer)
    candidate = hub.organization(offered.next.organizations[0])
    asked = until_turn(candidate.hub, referral, Owner.you, Action.answer)
    offer = asked.next.subject
    assert offer is not None

    with paused(hub, "routing"):
        answer = candidate.hub.accept(offer)["id"]
        sent = until_turn(candidate.hub, answer, Owner.hub, Action.decide)
        assert sent.next.subject == answer
        assert [hop.step for hop in sent.hops if sent.is_asked(hop)] == ["answer.submitted"]

    released = until_turn(candidate.hub, offer, Owner.you, Action.open_case)
    (letter,) = [hop for hop in released.hops if hop.about == "case.released"]
    assert turn(candidate.hub.trace(letter.receipt["message"])) == (Owner.you, Action.open_case)
    staff = hub.participants.staff("coordinator")
    assert turn(staff.trace(referral)) == (Owner.other, Action.open_case)
    assert turn(sender.hub.trace(referral)) == (Owner.other, Action.report)

    candidate.await_message("case.released", referral)
    opened = until_turn(candidate.hub, referral, Owner.you, Action.report)
    assert opened.next.until is not None
    candidate.hub.complete(referral, "resolved")
    until_turn(sender.hub, referral, Owner.nobody, Action.ended)
    # Every step of routing and intake has its place in the signed log in the end.
    until(
        lambda: all(hop.signed for hop in sender.hub.trace(referral).hops if hop.service != "delivery"),
        "a checkpoint over all hops",
    )


@on_sqlite
def test_trace_finds_a_key_and_says_when_nothing_was_admitted_under_it(hub: RunningHub) -> None:
    sample = hub.network.referral("nobody")
    sender = hub.organization(sample.sender)
    facts = hub.facts("nobody")
    key = f"trace-{os.urandom(8).hex()}"
    assert turn(sender.hub.trace(key)) == (Owner.you, Action.submit)
    referral = sender.hub.submit(facts, case={"name": "A. B.", "phones": []}, idempotency_key=key)["id"]
    unplaced = until_turn(sender.hub, key, Owner.network, Action.place)
    assert unplaced.referral == referral
    coordinator = hub.participants.staff("coordinator")
    assert coordinator.trace(key).referral is None, "a key belongs to its organisation"
    assert coordinator.trace(key, organization=sender.id).referral == referral
    sender.hub.withdraw(referral, "entered_in_error")


@on_sqlite
def test_trace_shows_each_party_its_own_part_and_records_reads_of_staff(hub: RunningHub) -> None:
    sender, referral = hub.submit("wage-claim-osh-moscow")
    declined, offer = hub.next_offer(sender, referral)
    declined.hub.decline(offer, "language")
    # The declined offer is open until routing has read the answer.
    theirs = until_turn(declined.hub, referral, Owner.nobody, Action.offer_ended)
    acceptor, _ = hub.next_offer(sender, referral)
    assert acceptor.id not in json.dumps(theirs.as_json())
    whole = json.dumps(sender.hub.trace(referral).as_json())
    assert declined.id in whole
    assert acceptor.id in whole
    assert hub.organization(STRANGER).hub.trace(referral).referral is None
    assert hub.organization(STRANGER).hub.trace(offer).referral is None

    command = [KOPURO, "trace", referral, "--as", "coordinator", "--json", "--language", "ky"]
    environment = {
        **os.environ,
        "KOPURO_DISCOVERY_URL": hub.files.discovery_address(),
        "KOPURO_CREDENTIALS": str(hub.files.credentials),
    }
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["next"]["organizations"] == [acceptor.id]

    def asked() -> set[str | None] | None:
        reads = sender.hub.readers(referral)["items"]
        found = {read["resource"] for read in reads if read["reader"] == "kg.coordinator"}
        return found if found >= RECORDED else None

    until(asked, "the coordinator's reads")
    sender.hub.withdraw(referral, "entered_in_error")
