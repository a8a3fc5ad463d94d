from pathlib import Path
from typing import Any

import pytest

from kopuro_client import generate_key, public_key, seal
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

CASE = {
    "name": "Зарина М.",
    "phones": ["+992900000000"],
    "safe_contact": None,
    "narrative": "Первая строка.\nВторая строка.",
    "documents": [{"name": "Договор", "media_type": "application/pdf", "content": "aGk="}],
}
NOTE = "kopuro.example/kg\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— kopuro.example/kg Az3gr\n"


def test_case_show_opens_the_case(hub: FakeHub, run: Run, sealing_key: dict[str, Any]) -> None:
    sealed = seal(CASE, public_key(sealing_key))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    lines = run("case", "show", "r1").out.splitlines()
    assert "name    Зарина М." in lines
    assert lines[lines.index("Первая строка.") + 1] == "Вторая строка."
    assert run("case", "show", "r1", "--json").json() == {"referral_id": "r1", "case": CASE}
    assert run("case", "show", "r1", "--sealed").json() == {"referral_id": "r1", "case": sealed}


def test_case_sealed_to_another_key_exits_with_7(hub: FakeHub, run: Run) -> None:
    sealed = seal(CASE, public_key(generate_key()))
    hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": sealed}))
    ran = run("case", "show", "r1")
    assert (ran.code, ran.out) == (7, "")
    assert "--sealing-key FILE" in ran.err
    assert "kopuro case unreadable r1 --reason key_lost" in ran.err


def test_unreadable_case_names_the_command_that_reports_it(
    hub: FakeHub, run: Run, sealing_key: dict[str, Any]
) -> None:
    sealed = seal(CASE, public_key(sealing_key))
    for case, reason in (("hello", "cannot_decrypt"), (sealed[:-4] + "AAAA", "cannot_decrypt")):
        hub.script("GET", "/delivery/v1/case/r1", json_response({"referral_id": "r1", "case": case}))
        ran = run("case", "show", "r1")
        assert (ran.code, ran.out) == (7, "")
        assert f"kopuro case unreadable r1 --reason {reason}\n" in ran.err


@pytest.mark.parametrize("by", ["kg.osh-legal-aid", "ru.other"])
def test_case_of_a_referral_that_was_handed_back_says_so(hub: FakeHub, run: Run, by: str) -> None:
    referral = "0199a0de-0000-7000-8000-000000000001"
    step = {
        "time": "2026-05-01T12:00:00Z",
        "fact": "referral.handed_back",
        "organization": by,
        "detail": None,
    }
    hub.script("GET", f"/delivery/v1/case/{referral}", problem(404, "not-found", "No"))
    found = json_response({"id": referral, "timeline": [step]})
    hub.script("GET", f"/intake/v1/referrals/{referral}", found)
    ran = run("case", "show", referral)
    assert (ran.code, ran.out) == (3, "")
    said = "you handed this referral back on 2026-05-01 12:00"
    assert (said in ran.err) == (by == "kg.osh-legal-aid")


def test_history_names_its_tree(hub: FakeHub, run: Run) -> None:
    entry = {
        "index": 2,
        "time": "2026-05-01T09:00:00Z",
        "type": "kopuro.referral.submitted.v1",
        "hub": "kg",
        "actor": "kg.osh-legal-aid",
        "referral_id": "r1",
        "message_id": "m1",
        "organization": None,
        "commitment": "c",
    }
    page = {"items": [entry], "next": None, "checkpoint": {"origin": "kopuro/kg", "size": 3, "root": "Cs="}}
    hub.script("GET", "/audit/v1/history", json_response(page))
    ran = run("history", "r1", "--from", "2026-05-01T00:00:00Z", "--type", "kopuro.referral.submitted.v1")
    assert ran.out.splitlines()[1].split() == (
        ["2", "2026-05-01", "09:00:00Z", "kopuro.referral.submitted.v1", "kg.osh-legal-aid", "r1"]
    )
    assert "kopuro/kg, 3 entries, root Cs=" in ran.err
    assert hub.requests_to("/audit/v1/history")[0].query == {
        "referral": "r1",
        "type": "kopuro.referral.submitted.v1",
        "from": "2026-05-01T00:00:00Z",
    }
    assert run("history", "--json").json() == page


def test_checkpoint_needs_no_credentials(hub: FakeHub, run: Run, monkeypatch: Any) -> None:
    for name in ("KOPURO_AS", "KOPURO_CREDENTIALS"):
        monkeypatch.delenv(name)
    hub.script("GET", "/audit/checkpoint", Response(status=200, body=NOTE.encode()))
    ran = run("checkpoint")
    assert (ran.code, ran.out) == (0, NOTE)
    assert hub.requests_to("/directory/oauth/token") == []


def test_log_key_needs_no_credentials(hub: FakeHub, run: Run, monkeypatch: Any) -> None:
    for name in ("KOPURO_AS", "KOPURO_CREDENTIALS"):
        monkeypatch.delenv(name)
    hub.script("GET", "/audit/v1/log-key", Response(status=200, body=b"kopuro/kg+c18b9c8e+Afz7\n"))
    assert run("log-key").out == "kopuro/kg+c18b9c8e+Afz7\n"
    assert run("log-key", "--json").json() == {"log_key": "kopuro/kg+c18b9c8e+Afz7"}
    assert hub.requests_to("/directory/oauth/token") == []


def test_coordinator_lists_and_places_unplaced_referrals(hub: FakeHub, run: Run) -> None:
    item = {
        "id": "r1",
        "urgency": "emergency",
        "needs": ["shelter"],
        "region": "KZ-75",
        "since": "2026-05-01T09:00:00Z",
        "reason": "no_candidate",
    }
    hub.script("GET", "/routing/v1/coordination/unplaced", json_response({"items": [item], "next": None}))
    hub.script(
        "POST",
        "/routing/v1/coordination/r1/offer",
        json_response({"id": "s1", "status": "submitted"}, status=202),
    )
    ran = run("coordination", "unplaced", "--as", "coordinator")
    assert ran.out.splitlines()[1].split() == [
        "r1",
        "emergency",
        "Almaty",
        "(city)",
        "shelter",
        "2026-05-01",
        "09:00:00Z",
        *["no", "organisation", "can", "be", "asked"],
    ]
    assert (
        run("coordination", "place", "r1", "kz.almaty-shelter", "--yes", "--as", "coordinator").out == "s1\n"
    )
    keyed = ("--idempotency-key", "k1", "--yes", "--as", "coordinator")
    assert run("coordination", "place", "r1", "kz.almaty-shelter", *keyed).out == "s1\n"
    first, second = hub.requests_to("/routing/v1/coordination/r1/offer")
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"] == "k1"


def test_coordinator_withdraws_and_records_revoked_consent_for_others(hub: FakeHub, run: Run) -> None:
    address = "/routing/v1/coordination/r1/withdraw"
    hub.script("POST", address, json_response({"id": "s1", "status": "submitted"}, status=202))
    asked = ("r1", "kg.gone", "--yes", "--as", "coordinator")
    assert run("coordination", "withdraw", *asked, "--reason", "placed_elsewhere").out == "s1\n"
    assert run("coordination", "revoke-consent", *asked).out == "s1\n"
    assert [request.json() for request in hub.requests_to(address)] == [
        {"organization": "kg.gone", "reason": "placed_elsewhere"},
        {"organization": "kg.gone", "reason": "consent_revoked"},
    ]


@pytest.mark.usefixtures("any_umask")
def test_bundle_is_written_verbatim_and_overwrites_nothing(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    hub.script("GET", "/audit/v1/history/r1/bundle", Response(status=200, body=b'{"bytes":  "as they are"}'))
    file = tmp_path / "case.json"
    assert run("bundle", "r1", "--output", str(file)).out == f"{file}\n"
    assert file.read_bytes() == b'{"bytes":  "as they are"}'
    assert file.stat().st_mode & 0o077 == 0
    assert run("bundle", "r1", "--output", str(file)).code == 2


def test_readers_are_listed_with_client_role_and_query(hub: FakeHub, run: Run) -> None:
    read = {
        "index": 7,
        "time": "2026-05-01T12:00:00.000000Z",
        "type": "kopuro.referral.read.v1",
        "reader": "kg.coordinator",
        "client_id": "kg.coordinator-1",
        "roles": ["coordinator"],
        "resource": "GET /v1/referrals",
        "filter": {"status": "unplaced", "organization": None},
        "entries": 2,
    }
    page = {"referral_id": "r1", "items": [read], "next": None}
    hub.script("GET", "/audit/v1/history/r1/readers", json_response(page))
    ran = run("readers", "r1", "--limit", "5")
    for shown in ("kg.coordinator-1", "coordinator", "GET /v1/referrals", "organization, status=unplaced"):
        assert shown in ran.out
    assert hub.requests_to("/audit/v1/history/r1/readers")[0].query == {"limit": "5"}
    assert run("readers", "r1", "--json").json() == page
