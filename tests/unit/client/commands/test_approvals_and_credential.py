import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest

from contracts.codes import ApplicationRefusal, ApprovalKind
from kopuro_client.client_key import generate_client_key
from kopuro_client.commands.admission_words import APPROVAL_STATES, KINDS, REFUSALS
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.fake_hub import FakeHub, json_response, problem

APPROVALS = "/directory/v1/approvals"
CREDENTIALS = "/directory/v1/credentials"
REQUEST = {
    "id": "a-1",
    "kind": "credential",
    "subject": "osh-laptop",
    "state": "requested",
    "requested_by": "kg.operator",
    "endorsed_by": None,
    "expires_at": "2026-03-08T12:00:00Z",
}
CLIENT = {
    "client_id": "osh-laptop",
    "principal": ORGANIZATION,
    "roles": ["partner"],
    "root": False,
    "keys": [],
    "secret_expires_at": None,
    "revision": 1,
}


def test_list_shows_the_requests_that_wait(hub: FakeHub, run: Run) -> None:
    hub.script("GET", APPROVALS, json_response({"items": [REQUEST], "next": None}))
    shown = run("approvals", "list").out.splitlines()
    assert shown[1].split()[:4] == ["a-1", "client", "osh-laptop", "requested"]
    assert hub.requests_to(APPROVALS)[0].query == {"state": "requested"}


def test_list_says_who_has_endorsed_a_request(hub: FakeHub, run: Run) -> None:
    endorsed = {**REQUEST, "endorsed_by": "kg.bakyt"}
    hub.script("GET", APPROVALS, json_response({"items": [endorsed], "next": None}))
    heading, row = run("approvals", "list").out.splitlines()
    assert row[heading.index("endorsed by") :].startswith("kg.bakyt ")


@pytest.mark.parametrize(
    ("language", "heading", "row"),
    [
        ("ru", "id вид о чём состояние кто запросил кто поддержал срок до", "клиент osh-laptop ждёт решения"),
        (
            "ky",
            "id түрү эмне жөнүндө абалы ким сураган ким колдогон мөөнөтү",
            "клиент osh-laptop чечим күтүүдө",
        ),
    ],
)
def test_list_of_requests_is_in_the_chosen_language(
    hub: FakeHub, run: Run, language: str, heading: str, row: str
) -> None:
    newer = {**REQUEST, "id": "a-2", "kind": "later_kind", "state": "later_state"}
    hub.script("GET", APPROVALS, json_response({"items": [REQUEST, newer], "next": None}))
    lines = [
        " ".join(line.split()) for line in run("approvals", "list", "--language", language).out.splitlines()
    ]
    assert lines[0] == heading
    assert row in lines[1]
    assert "later_kind osh-laptop later_state" in lines[2]
    hub.script("POST", f"{APPROVALS}/a-1/approve", json_response(REQUEST))
    ran = run("approvals", "approve", "a-1", "--language", language)
    assert ran.out == "requested\n"
    assert "another member" not in ran.err


def test_every_kind_and_state_of_a_request_has_words() -> None:
    assert KINDS.keys() == {kind.value for kind in ApprovalKind}
    assert APPROVAL_STATES.keys() >= {"requested", "granted", "refused", "expired", "stale"}
    assert REFUSALS.keys() == {reason.value for reason in ApplicationRefusal}


def test_approve_and_refuse_print_the_state(hub: FakeHub, run: Run) -> None:
    for verb, state in (("approve", "granted"), ("refuse", "refused")):
        hub.script("POST", f"{APPROVALS}/a-1/{verb}", json_response({**REQUEST, "state": state}))
        assert run("approvals", verb, "a-1").out == state + "\n"
    hub.script("GET", f"{APPROVALS}/a-1", json_response(REQUEST))
    assert run("approvals", "show", "a-1").json() == REQUEST


def test_first_approval_of_two_says_that_another_is_needed(hub: FakeHub, run: Run) -> None:
    hub.script("POST", f"{APPROVALS}/a-1/approve", json_response({**REQUEST, "state": "requested"}))
    ran = run("approvals", "approve", "a-1")
    assert ran.out == "requested\n"
    assert "another member of the staff must approve" in ran.err


@pytest.mark.usefixtures("any_umask")
def test_secret_goes_to_a_private_file_and_only_its_digest_is_printed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    ran = run("credential", "secret", str(file))
    secret = file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(secret) >= 43
    assert ran.out == hashlib.sha256(secret).hexdigest() + "\n"
    assert run("credential", "secret", str(file)).code == 2


def test_issue_prints_the_client_or_the_request(hub: FakeHub, run: Run) -> None:
    made = json_response({**CLIENT, "client_secret": "made"}, status=201)
    hub.script("POST", CREDENTIALS, json_response(REQUEST, status=202), made)
    line = ("credential", "issue", ORGANIZATION, "partner", "--client-id", "osh-laptop", "--revision", "3")
    ran = run(*line, "--secret-sha256", "0" * 64)
    assert ran.out == "a-1\n"
    sent = hub.requests_to(CREDENTIALS)[0]
    assert sent.json() == {
        "principal": ORGANIZATION,
        "roles": ["partner"],
        "client_id": "osh-laptop",
        "secret_sha256": "0" * 64,
    }
    assert sent.headers["if-match"] == '"3"'
    assert run("credential", "issue", ORGANIZATION, "partner").out == "osh-laptop\nmade\n"


def test_issue_registers_a_client_with_keys_instead_of_a_secret(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    hub.script("POST", CREDENTIALS, json_response(CLIENT, status=201))
    private, public = generate_client_key("2026-11")
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [public]}))
    assert run("credential", "issue", ORGANIZATION, "partner", "--keys", str(file)).out == "osh-laptop\n"
    (sent,) = hub.requests_to(CREDENTIALS)
    assert sent.json() == {"principal": ORGANIZATION, "roles": ["partner"], "jwks": {"keys": [public]}}

    file.write_text(json.dumps({"keys": [private]}))
    refused = run("credential", "issue", ORGANIZATION, "partner", "--keys", str(file))
    assert (refused.code, len(hub.requests_to(CREDENTIALS))) == (2, 1)
    assert "private key" in refused.err


def test_issue_of_an_existing_client_names_the_option_that_it_needs(hub: FakeHub, run: Run) -> None:
    hub.script("POST", CREDENTIALS, problem(428, "precondition-required", "A precondition is required"))
    ran = run("credential", "issue", ORGANIZATION, "partner", "--client-id", "osh-laptop")
    assert ran.code == 3
    assert "the client osh-laptop exists" in ran.err
    assert "--revision" in ran.err


@pytest.mark.usefixtures("any_umask")
def test_admin_client_writes_the_secret_to_a_file_and_sends_its_digest(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    refused = problem(409, "conflict", "No")
    hub.script("POST", CREDENTIALS, json_response(CLIENT, status=201), refused)
    file = tmp_path / "osh.env"
    line = ("admin", "client", "create", ORGANIZATION, "partner", str(file), "--client-id", "osh-laptop")
    ran = run(*line)
    assert ran.out == "osh-laptop\n"
    written = dict(row.split("=", 1) for row in file.read_text().splitlines())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert written["KOPURO_CLIENT_ID"] == "osh-laptop"
    secret = written["KOPURO_CLIENT_SECRET"]
    assert secret not in ran.out + ran.err
    sent = hub.requests_to(CREDENTIALS)[0].json()
    assert sent["secret_sha256"] == hashlib.sha256(secret.encode()).hexdigest()
    # Nothing is sent when the file exists, and nothing stays when the hub refuses.
    assert run(*line).code == 2
    assert len(hub.requests_to(CREDENTIALS)) == 1
    other = tmp_path / "other.env"
    assert run("admin", "client", "create", ORGANIZATION, "partner", str(other)).code == 3
    assert not other.exists()


def test_admin_client_revoke_is_the_same_as_credential_revoke(hub: FakeHub, run: Run) -> None:
    hub.script("DELETE", f"{CREDENTIALS}/osh-laptop", json_response({**CLIENT, "live": False}))
    assert run("admin", "client", "revoke", "osh-laptop", "--yes").out == "osh-laptop\n"


def test_revoke_and_list_show_whether_a_client_is_live(hub: FakeHub, run: Run) -> None:
    revoked = {**CLIENT, "live": False}
    hub.script("DELETE", f"{CREDENTIALS}/osh-laptop", json_response(revoked))
    assert run("credential", "revoke", "osh-laptop", "--yes").out == "osh-laptop\n"
    hub.script("GET", CREDENTIALS, json_response({"items": [revoked], "next": None}))
    assert "revoked" in run("credential", "list").out


@pytest.mark.parametrize(
    ("secret", "keys", "shown"),
    [
        (None, [None, "2026-04-01T00:00:00Z", "2026-03-08T12:00:00.5Z"], "2026-03-08 12:00:00Z"),
        ("2026-03-08T12:00:00Z", ["2026-03-08T12:00:00.5Z"], "2026-03-08 12:00:00Z"),
        (None, [None], ""),
    ],
)
def test_list_shows_the_root_client_and_what_expires_first(
    hub: FakeHub, run: Run, secret: str | None, keys: list[str | None], shown: str
) -> None:
    """The runbook tells operators to look up here which credential expires."""
    held = [{"kid": "k", "expires_at": one} for one in keys]
    client = {**CLIENT, "live": True, "root": True, "secret_expires_at": secret, "keys": held}
    hub.script("GET", CREDENTIALS, json_response({"items": [client], "next": None}))
    heading, row = run("credential", "list").out.splitlines()
    cells = {name: row[heading.index(name) :].split("  ")[0].strip() for name in ("root", "expires")}
    assert cells == {"root": "root", "expires": shown}


def test_rotate_sends_the_digest_and_says_until_when_both_are_accepted(hub: FakeHub, run: Run) -> None:
    rotated = {**CLIENT, "previous_secret_until": "2026-03-02T12:00:00Z"}
    hub.script("POST", f"{CREDENTIALS}/osh-laptop/rotate", json_response(rotated))
    ran = run("credential", "rotate", "osh-laptop", "--secret-sha256", "0" * 64)
    assert ran.out == "osh-laptop\n"
    assert "2026-03-02" in ran.err
    (sent,) = hub.requests_to(f"{CREDENTIALS}/osh-laptop/rotate")
    assert sent.json() == {"secret_sha256": "0" * 64}


@pytest.mark.usefixtures("any_umask")
def test_client_key_stays_in_a_private_file_and_its_public_half_is_uploaded(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    private, public = tmp_path / "private.json", tmp_path / "public.json"
    public.write_text(run("credential", "key", str(private), "--kid", "k-1").out)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    (uploaded,) = json.loads(public.read_text())["keys"]
    assert "d" not in uploaded
    changed = {**CLIENT, "keys": [{**uploaded, "alg": "EdDSA", "expires_at": None}]}
    hub.script("PUT", f"{CREDENTIALS}/osh-laptop/keys", json_response(changed))
    sent_keys = run("credential", "keys", "osh-laptop", str(public))
    assert (sent_keys.out, sent_keys.err) == ("k-1\n", "")
    (sent,) = hub.requests_to(f"{CREDENTIALS}/osh-laptop/keys")
    assert sent.json() == {"keys": [uploaded]}
    private.write_text(json.dumps({"keys": [json.loads(private.read_text())]}))
    refused = run("credential", "keys", "osh-laptop", str(private))
    assert refused.code == 2
    assert "private key" in refused.err


def test_revoke_tokens_names_the_client(hub: FakeHub, run: Run) -> None:
    hub.script("POST", f"{CREDENTIALS}/osh-laptop/revoke-tokens", json_response(CLIENT))
    assert run("credential", "revoke-tokens", "osh-laptop").out == "osh-laptop\n"


def test_name_root_prints_the_client_or_the_request(hub: FakeHub, run: Run) -> None:
    url = f"{CREDENTIALS}/osh-laptop/root"
    request = {"id": "a-1", "kind": "root_client", "state": "requested", "requested_by": "kg.operator"}
    hub.script("PUT", url, json_response(CLIENT), json_response(request, status=202))
    assert run("credential", "name-root", "osh-laptop").out == "osh-laptop\n"
    assert run("credential", "name-root", "osh-laptop").out == "a-1\n"


@pytest.mark.usefixtures("any_umask")
def test_amqp_password_stays_in_a_private_file_and_its_hash_is_sent(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    url = CREDENTIALS.replace("credentials", "amqp-password")
    hub.script("POST", url, json_response({"waits": True}, status=202), problem(404, "not-found", "No"))
    hub.script("GET", url, json_response({"waits": True}), json_response({"waits": False}))
    file = tmp_path / "amqp"
    ran = run("credential", "amqp-password", str(file), "--json")
    assert json.loads(ran.out) == {"file": str(file), "waits": False}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    sent, looks = hub.requests_to(url)[0].json(), [one.method for one in hub.requests_to(url)[1:]]
    stored = base64.b64decode(sent["password_hash"], validate=True)
    assert stored[4:] == hashlib.sha256(stored[:4] + file.read_bytes()).digest()
    assert looks == ["GET", "GET"]
    # Nothing is sent when the file exists, and nothing stays when the hub refuses.
    assert run("credential", "amqp-password", str(file)).code == 2
    other = tmp_path / "other"
    assert run("credential", "amqp-password", str(other)).code == 3
    assert not other.exists()
    assert len(hub.requests_to(url)) == 4
