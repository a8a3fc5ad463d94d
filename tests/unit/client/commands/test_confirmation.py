"""Every command that ends or revokes something asks first, and does nothing without a terminal or --yes."""

from __future__ import annotations

import io
from typing import Any, Final

import pytest

from tests.unit.client.commands.conftest import Run, answering
from tests.unit.client.fake_hub import FakeHub, Response, json_response

ID: Final = "0199a0de-0000-7000-8000-000000000001"
REFERRAL: Final[dict[str, Any]] = {
    "id": ID,
    "sender": "kg.gone",
    "status": "accepted",
    "acceptor": "ru.moscow-centre",
    "facts": {"needs": ["legal.wage_claim"], "urgency": "urgent", "region": "RU-MOW"},
    "offers": [{"id": "o1", "organization": "ru.moscow-centre", "state": "accepted"}],
    "timeline": [],
}
ERASED: Final = "its case and the content of its history are erased"
LOST: Final = "ru.moscow-centre (accepted): loses the case"
# The command, the address that changes something, and what is shown first.
COMMANDS: Final = {
    ("coordination", "withdraw", ID, "kg.gone", "--reason", "other"): (
        f"/routing/v1/coordination/{ID}/withdraw",
        (f"{ID} (accepted, urgent, Moscow)", LOST, "withdraw the referral for kg.gone?"),
    ),
    ("coordination", "revoke-consent", ID, "kg.gone"): (
        f"/routing/v1/coordination/{ID}/withdraw",
        (LOST, ERASED, "for kg.gone that the person withdrew the consent?"),
    ),
    ("referral", "withdraw", ID, "--reason", "other"): (
        f"/intake/v1/referrals/{ID}/withdraw",
        (LOST, "it ends, and nobody can open it again", "withdraw the referral?"),
    ),
    ("referral", "revoke-consent", ID): (
        f"/intake/v1/referrals/{ID}/consent/revoke",
        (LOST, ERASED, "the person withdrew the consent?"),
    ),
    ("webhook", "delete", "e-1"): (
        "/delivery/v1/webhooks/e-1",
        ("https://ngo.example/hook (active): gets no further notices", "delete the endpoint?"),
    ),
    ("credential", "revoke", "osh-laptop"): (
        "/directory/v1/credentials/osh-laptop",
        ("osh-laptop: gets no further token", "revoke the client?"),
    ),
    ("watch", "retract", ID): (
        f"/directory/v1/watch/reports/{ID}/retract",
        ("its recipients are notified", "retract the report?"),
    ),
}


def _scripted(hub: FakeHub) -> None:
    hub.script("GET", f"/routing/v1/referrals/{ID}", json_response(REFERRAL))
    hub.script("GET", f"/intake/v1/referrals/{ID}", json_response(REFERRAL))
    endpoint = {"id": "e-1", "url": "https://ngo.example/hook", "state": "active"}
    hub.script("GET", "/delivery/v1/webhooks/e-1", json_response(endpoint))
    hub.script("DELETE", "/delivery/v1/webhooks/e-1", Response(status=204))
    hub.otherwise = json_response({"id": "s1", "client_id": "osh-laptop"}, status=202)


def _changes(hub: FakeHub, address: str) -> list[str]:
    return [one.method for one in hub.requests_to(address) if one.method != "GET"]


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: " ".join(line[:2]))
def test_command_shows_the_effects_and_asks(
    hub: FakeHub, run: Run, terminal: io.StringIO, line: tuple[str, ...]
) -> None:
    _scripted(hub)
    address, shown = COMMANDS[line]
    answering(terminal, "n")
    ran = run(*line)
    assert (ran.code, ran.out, _changes(hub, address)) == (0, "", []), ran.err
    for text in shown:
        assert text in ran.err
    answering(terminal, "y")
    assert run(*line).code == 0
    assert len(_changes(hub, address)) == 1


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: " ".join(line[:2]))
def test_command_without_a_terminal_shows_the_effects_and_requires_yes(
    hub: FakeHub, run: Run, line: tuple[str, ...]
) -> None:
    _scripted(hub)
    address, shown = COMMANDS[line]
    ran = run(*line)
    assert (ran.code, ran.out, _changes(hub, address)) == (2, "", [])
    assert "add --yes" in ran.err
    for text in (one for one in shown if not one.endswith("?")):
        assert ran.err.index(text) < ran.err.index("add --yes")
    assert run(*line, "--yes").code == 0
    assert len(_changes(hub, address)) == 1
