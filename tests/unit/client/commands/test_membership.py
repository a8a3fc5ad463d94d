"""`kopuro organization vet`, `suspend` and `readmit`."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from contracts.codes import SuspensionReason
from kopuro_client.administration import Administration
from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.fake_hub import FakeHub, json_response, problem

OSH = "/directory/v1/organizations/kg.osh"
ENGAGEMENTS = "/routing/v1/coordination/organizations/kg.osh/engagements"
RECORD: dict[str, Any] = {
    "id": "kg.osh",
    "vetting": "vetted",
    "active": True,
    "services": [{}],
    "revision": 7,
}
REQUEST = {"id": "a-1", "state": "requested"}
SUSPEND = ("organization", "suspend", "kg.osh", "--reason", "data_misused")


def test_suspend_shows_what_it_concerns_and_asks(hub: FakeHub, run: Run, terminal: io.StringIO) -> None:
    hub.script("GET", OSH, json_response(RECORD))
    offers = {"emergency": 1, "urgent": 0, "routine": 2}
    held = {"emergency": 0, "urgent": 1, "routine": 0}
    engaged = {"organization": "kg.osh", "open_offers": offers, "accepted": held, "sent": held}
    hub.script("GET", ENGAGEMENTS, json_response(engaged))
    hub.script("POST", f"{OSH}/suspend", json_response({**RECORD, "vetting": "suspended", "revision": 8}))
    answering(terminal, "n")
    ran = run(*SUSPEND, "--as", "coordinator")
    assert (ran.code, ran.out, hub.requests_to(f"{OSH}/suspend")) == (0, "", [])
    assert "kg.osh (vetted): every service of the hub refuses it within 5 seconds\n" in ran.err
    assert (
        "3 open offers (1 emergency, 2 routine): will be revoked; the next candidates will be asked\n"
        in ran.err
    )
    assert (
        "1 accepted referral (1 urgent): to be placed by the coordinators, whose mailbox names them\n"
        in ran.err
    )
    assert "1 open referral (1 urgent) that it sent: continue, but it can neither read" in ran.err
    assert "kopuro coordination queue --organization kg.osh\n" in ran.err
    answering(terminal, "y")
    ran = run(*SUSPEND, "--as", "coordinator")
    assert ran.out == "8\n"
    assert "(the record has revision 8)" in ran.err
    (request,) = hub.requests_to(f"{OSH}/suspend")
    assert request.json() == {"reason": "data_misused"}


def test_suspend_of_an_idle_organization_says_so(hub: FakeHub, run: Run, terminal: io.StringIO) -> None:
    hub.script("GET", OSH, json_response({**RECORD, "active": False}))
    none = {"emergency": 0, "urgent": 0, "routine": 0}
    hub.script(
        "GET", ENGAGEMENTS, json_response({"organization": "kg.osh", "open_offers": none, "accepted": none})
    )
    answering(terminal, "")
    ran = run(*SUSPEND, "--as", "coordinator")
    assert "kg.osh (vetted, not active)" in ran.err
    assert "no open offers\nno accepted referrals\n" in ran.err


def test_suspend_with_yes_reads_nothing_first(hub: FakeHub, run: Run) -> None:
    changed = {**RECORD, "vetting": "suspended", "revision": 8}
    hub.script("POST", f"{OSH}/suspend", json_response(changed))
    assert run(*SUSPEND, "--revision", "7", "--yes", "--json", "--as", "coordinator").json() == changed
    (request,) = hub.requests_to(f"{OSH}/suspend")
    assert request.headers["if-match"] == '"7"'
    assert request.headers["kopuro-proof"]
    assert (hub.requests_to(OSH), hub.requests_to(ENGAGEMENTS)) == ([], [])


def test_suspend_without_a_terminal_or_a_reason_is_refused(hub: FakeHub, run: Run) -> None:
    hub.script("GET", OSH, json_response(RECORD))
    offers = {"emergency": 0, "urgent": 1, "routine": 0}
    hub.script("GET", ENGAGEMENTS, json_response({"open_offers": offers, "accepted": {}}))
    ran = run(*SUSPEND, "--as", "coordinator")
    assert (ran.code, hub.requests_to(f"{OSH}/suspend")) == (2, [])
    assert ran.err.index("1 open offer (1 urgent): will be revoked") < ran.err.index("add --yes")
    assert run("organization", "suspend", "kg.osh", "--yes", "--as", "coordinator").code == 2


def test_help_and_library_name_every_reason(run: Run) -> None:
    words = set(re.findall("[a-z_]+", run("organization", "suspend", "--help").out))
    assert set(SuspensionReason) <= words
    assert set(SuspensionReason) <= set(re.findall("[a-z_]+", str(Administration.suspend.__doc__)))


@pytest.mark.parametrize(
    ("command", "before", "changes"),
    [
        (("vet",), {"vetting": "applied"}, {"vetting": "vetted"}),
        (
            ("vet", "--vetted-by", "The desk", "--vetted-on", "2026-03-07"),
            {"vetting": "applied"},
            {"vetting": "vetted", "vetted_by": "The desk", "vetted_on": "2026-03-07"},
        ),
        (("readmit",), {"vetting": "suspended"}, {"vetting": "vetted"}),
        (("readmit",), {"vetting": "left", "active": False}, {"vetting": "vetted", "active": True}),
        (("readmit",), {"active": False}, {"vetting": "vetted", "active": True}),
    ],
)
def test_admission_is_requested_on_the_record_that_was_shown(
    hub: FakeHub, run: Run, terminal: io.StringIO, command: tuple[str, ...], before: Any, changes: Any
) -> None:
    hub.script("GET", OSH, json_response({**RECORD, **before}))
    hub.script("PATCH", OSH, json_response(REQUEST, status=202), json_response({**RECORD, "revision": 8}))
    line = ("organization", command[0], "kg.osh", *command[1:])
    answering(terminal, "n")
    ran = run(*line)
    assert (ran.out, hub.requests_to(OSH)[-1].method) == ("", "GET")
    assert "may send, accept and hold referrals" in ran.err
    assert ("it can again read the cases" in ran.err) == (command[0] == "readmit")
    answering(terminal, "y")
    asked = run(*line)
    assert asked.out == "a-1\n"
    assert "another operator approves it" in asked.err
    sent = hub.requests_to(OSH)[-1]
    assert (sent.json(), sent.headers["if-match"]) == (changes, '"7"')
    assert run(*line, "--yes").out == "8\n"


@pytest.mark.parametrize(
    ("command", "before"),
    [
        ("vet", {"vetting": "vetted"}),
        ("vet", {"vetting": "suspended"}),
        ("readmit", {"vetting": "vetted"}),
        ("readmit", {"vetting": "applied"}),
    ],
)
def test_admission_of_an_organization_in_another_state_sends_nothing(
    hub: FakeHub, run: Run, command: str, before: Any
) -> None:
    hub.script("GET", OSH, json_response({**RECORD, **before}))
    assert run("organization", command, "kg.osh", "--yes").code == 2
    assert [request.method for request in hub.requests_to(OSH)] == ["GET"]


@pytest.mark.parametrize(("command", "state"), [("vet", "applied"), ("readmit", "suspended")])
def test_refused_admission_names_who_may_do_it(hub: FakeHub, run: Run, command: str, state: str) -> None:
    hub.script("GET", OSH, json_response({**RECORD, "vetting": state}))
    detail = "Only an operator may make this request."
    hub.script("PATCH", OSH, problem(403, "forbidden", "Not allowed", detail=detail))
    ran = run("organization", command, "kg.osh", "--yes", "--as", "coordinator")
    assert ran.code == 3
    assert "an operator does this, and a second operator approves it: --as operator" in ran.err
