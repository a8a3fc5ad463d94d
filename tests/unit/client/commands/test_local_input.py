"""Faulty input is named and ends every command with exit 2; nothing is sent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kopuro_client import InvalidArgumentError, Kopuro, generate_key, public_key
from kopuro_client.tokens import ClientCredentials
from kopuro_client.transport import HttpRequest, Transport
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.commands.samples import REFERRAL
from tests.unit.client.fake_hub import FakeHub, json_response

NOT_UTF_8 = os.fsdecode(b"\xffsecret")
ID = REFERRAL["id"]
BAD_KEYS = ["", " ", " a", "a ", "a\n", "a\tb", "é", NOT_UTF_8, "k" * 256]


def _faulty_keys() -> dict[str, Any]:
    key = dict(generate_key())
    return {
        "not base64": {**key, "d": "!!!"},
        "not ASCII": {**key, "x": "é"},
        "too short": {**key, "d": "AA"},
        "a number": {**key, "d": 5},
        "public": dict(public_key(key)),
        "other kid": {**key, "kid": "kid"},
        "no members": {},
    }


FAULTY_KEYS = _faulty_keys()


@pytest.mark.parametrize("kind", FAULTY_KEYS)
def test_faulty_sealing_key_file_exits_with_2_and_names_it(
    hub: FakeHub, run: Run, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "my-key.json"
    file.write_text(json.dumps(FAULTY_KEYS[kind]))
    ran = run("case", "show", ID, "--sealing-key", str(file))
    assert (ran.code, ran.out, hub.received) == (2, "", [])
    assert str(file) in ran.err
    if kind != "public":
        ran = run("key", "publish", str(file))
        assert (ran.code, ran.out) == (2, "")
        assert str(file) in ran.err


@pytest.mark.parametrize("kind", FAULTY_KEYS)
def test_faulty_sealing_key_in_credentials_exits_with_2_and_names_the_file(
    hub: FakeHub, run: Run, credentials: Path, kind: str
) -> None:
    document = json.loads(credentials.read_text())
    document["organizations"][ORGANIZATION]["sealing_key"] = FAULTY_KEYS[kind]
    credentials.write_text(json.dumps(document))
    ran = run("case", "show", ID)
    assert (ran.code, ran.out, hub.received) == (2, "", [])
    assert str(credentials) in ran.err


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_credential_that_is_not_unicode_exits_with_2_and_names_its_source(
    hub: FakeHub, run: Run, credentials: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    document = json.loads(credentials.read_text())
    document["organizations"][ORGANIZATION][name] = "\ud800"
    credentials.write_text(json.dumps(document))
    ran = run("referral", "show", ID)
    assert (ran.code, ran.out, hub.received) == (2, "", [])
    assert str(credentials) in ran.err

    monkeypatch.delenv("KOPURO_AS")
    monkeypatch.setenv("KOPURO_CLIENT_ID", "kg.osh")
    monkeypatch.setenv("KOPURO_CLIENT_SECRET", "s")
    monkeypatch.setenv(f"KOPURO_{name.upper()}", NOT_UTF_8)
    ran = run("referral", "show", ID)
    assert (ran.code, ran.out, hub.received) == (2, "", [])
    assert f"the {name.replace('_', ' ')} in the environment is not valid Unicode" in ran.err


@pytest.mark.parametrize(
    "line",
    [
        ("referral", "show", NOT_UTF_8),
        ("referral", "note", ID, NOT_UTF_8, "--to", "kg.osh"),
        ("referral", "note", ID, "text", "--to", NOT_UTF_8),
        ("referral", "list", "--status", NOT_UTF_8),
        ("mailbox", "ack", "m1", NOT_UTF_8),
        ("mailbox", "list", "--after", NOT_UTF_8),
        ("organization", "show", NOT_UTF_8),
        ("coordination", "place", ID, NOT_UTF_8, "--yes"),
        ("offer", "decline", ID, "--reason", "other", "--note", NOT_UTF_8),
    ],
    ids=lambda line: " ".join(line[:2]),
)
def test_argument_that_is_not_utf_8_exits_with_2_before_anything_is_sent(
    hub: FakeHub, run: Run, line: tuple[str, ...]
) -> None:
    ran = run(*line)
    assert (ran.code, ran.out, hub.received) == (2, "", [])
    assert "is not valid Unicode" in ran.err


@pytest.mark.parametrize("key", BAD_KEYS)
def test_idempotency_key_that_no_header_can_carry_is_a_bad_option(
    hub: FakeHub, run: Run, tmp_path: Path, key: str
) -> None:
    file = tmp_path / "sealed.json"
    file.write_text(json.dumps({"needs": [], "case": "a.b.c.d.e"}))
    for line in (
        ("referral", "submit", str(file)),
        ("referral", "withdraw", ID, "--reason", "other"),
        ("referral", "progress", ID),
        ("referral", "complete", ID, "resolved"),
        ("referral", "revoke-consent", ID),
        ("offer", "accept", ID),
        ("offer", "decline", ID, "--reason", "language"),
    ):
        ran = run(*line, "--idempotency-key", key, "--json")
        assert (ran.code, ran.out, hub.received) == (2, "", []), line
        assert "--idempotency-key" in json.loads(ran.err)["detail"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_library_refuses_idempotency_key_that_no_header_can_carry(
    hub: FakeHub, client: Kopuro, key: str
) -> None:
    before = len(hub.received)
    for call in (
        lambda: client.accept("o1", idempotency_key=key),
        lambda: client.submit({}, sealed="a.b.c.d.e", idempotency_key=key),
        lambda: client.submit_statements([{"submit": "accept", "offer_id": "o1"}], idempotency_key=key),
    ):
        with pytest.raises(InvalidArgumentError, match="idempotency key"):
            call()
    assert len(hub.received) == before


@pytest.mark.parametrize("value", [" a", "a ", "a\r\nb: c", "a\0", "é", ""])
def test_transport_refuses_header_value_that_http_does_not_allow(hub: FakeHub, value: str) -> None:
    transport = Transport()
    with pytest.raises(InvalidArgumentError, match="the header Sample"):
        transport.send(HttpRequest(method="GET", url=hub.url, headers={"Sample": value}))
    transport.close()
    assert hub.received == []


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_library_refuses_credential_that_is_not_unicode(name: str) -> None:
    given: dict[str, Any] = {"client_id": "a", "client_secret": "b", name: "\ud800"}
    with pytest.raises(InvalidArgumentError, match=name.replace("_", " ")):
        ClientCredentials(**given)


def test_token_that_no_header_can_carry_is_a_defect_of_the_hub(hub: FakeHub, run: Run) -> None:
    hub.script("POST", "/directory/oauth/token", json_response({"access_token": "a\nb", "expires_in": 900}))
    ran = run("referral", "show", ID)
    assert (ran.code, ran.out) == (8, "")
    assert "access_token" in ran.err


@pytest.mark.parametrize(
    "address",
    ["http://", "http://exa mple/", "http://[", "http://h:99999/", "http://h:x/", f"http://{NOT_UTF_8}/"],
)
def test_invalid_hub_address_exits_with_2(hub: FakeHub, run: Run, address: str) -> None:
    ran = run("referral", "show", ID, "--discovery", address)
    assert (ran.code, ran.out, hub.received) == (2, "", [])
