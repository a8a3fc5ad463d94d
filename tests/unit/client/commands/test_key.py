import json
import stat
from pathlib import Path

import pytest
from joserfc import jwe
from joserfc.jwk import OKPKey

from kopuro_client import open_sealed, public_key, seal
from tests.unit.client.commands.conftest import ORGANIZATION, Run
from tests.unit.client.fake_hub import FakeHub, json_response

KEYS = "/directory/v1/keys"
REGISTRY = jwe.JWERegistry(algorithms=["ECDH-ES+A256KW", "A256GCM"])


def seal_any(content: object, key: dict[str, str]) -> str:
    """Seal a JSON value as the hub does."""
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": key["kid"], "cty": "application/json"}
    recipient = OKPKey.import_key({name: key[name] for name in ("kty", "crv", "x")})
    return jwe.encrypt_compact(header, json.dumps(content).encode(), recipient, registry=REGISTRY)


@pytest.mark.usefixtures("any_umask")
def test_generated_key_file_is_private_and_public_key_is_printed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    printed = run("key", "generate", str(file)).json()
    private = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert printed == public_key(private)
    assert open_sealed(seal({"name": "x"}, printed), private) == {"name": "x"}


def test_key_file_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text("precious")
    ran = run("key", "generate", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert file.read_text() == "precious"


def test_publish_sends_only_the_public_key(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    public = run("key", "generate", str(file)).json()
    hub.script("POST", KEYS, json_response(public, status=201))
    assert run("key", "publish", str(file)).out == public["kid"] + "\n"
    assert hub.requests_to(KEYS)[0].json() == public


def test_replacement_with_the_old_key_answers_the_challenge(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    public_old, public_new = (run("key", "generate", str(file)).json() for file in (old, new))
    content = {
        "purpose": "kopuro sealing key replacement",
        "challenge": "c-1",
        "organization": ORGANIZATION,
        "kid": public_new["kid"],
        "answer": "the answer",
    }
    challenge = {"challenge": "c-1", "sealed": seal_any(content, public_old), "kid": public_new["kid"]}
    hub.script("POST", KEYS, json_response(challenge, status=202))
    hub.script("POST", f"{KEYS}/c-1/prove", json_response(public_new, status=201))
    ran = run("key", "replace", "--old", str(old), "--new", str(new))
    assert (ran.code, ran.out) == (0, public_new["kid"] + "\n")
    assert hub.requests_to(KEYS)[0].json() == public_new
    assert hub.requests_to(f"{KEYS}/c-1/prove")[0].json() == {"answer": "the answer"}


def test_replacement_with_another_key_than_the_present_one_says_so(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    old, new, present = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "present.json"
    public_old, _, public = (run("key", "generate", str(file)).json() for file in (old, new, present))
    challenge = {"challenge": "c-1", "sealed": seal_any({"answer": "a"}, public), "kid": "k"}
    hub.script("POST", KEYS, json_response(challenge, status=202))
    ran = run("key", "replace", "--old", str(old), "--new", str(new))
    assert ran.code == 7
    assert f"{public_old['kid']} is not your present sealing key" in ran.err
    assert "the case is sealed" not in ran.err


@pytest.mark.parametrize(
    "change",
    [{"purpose": "other"}, {"challenge": "c-2"}, {"kid": "another"}, {"answer": 1}],
)
def test_challenge_for_anything_else_is_not_answered(
    hub: FakeHub, run: Run, tmp_path: Path, change: dict[str, object]
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    public_old, public_new = (run("key", "generate", str(file)).json() for file in (old, new))
    content = {
        "purpose": "kopuro sealing key replacement",
        "challenge": "c-1",
        "kid": public_new["kid"],
        "answer": "the answer",
    }
    challenge = {"challenge": "c-1", "sealed": seal_any({**content, **change}, public_old)}
    hub.script("POST", KEYS, json_response(challenge, status=202))
    ran = run("key", "replace", "--old", str(old), "--new", str(new))
    assert ran.code != 0
    assert hub.requests_to(f"{KEYS}/c-1/prove") == []


def test_publication_over_another_key_names_the_ways_to_replace_it(
    hub: FakeHub, run: Run, tmp_path: Path
) -> None:
    public = run("key", "generate", str(tmp_path / "key.json")).json()
    hub.script("POST", KEYS, json_response({"challenge": "c-1", "sealed": "a.b.c.d.e"}, status=202))
    ran = run("key", "publish", str(tmp_path / "key.json"))
    assert ran.code != 0
    assert "old key" in ran.err
    assert hub.requests_to(KEYS)[0].json() == public


def test_lost_key_is_replaced_on_request(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    public = run("key", "generate", str(tmp_path / "key.json")).json()
    hub.script("POST", KEYS, json_response({"id": "a-1", "state": "requested"}, status=202))
    ran = run("key", "replace", "--new", str(tmp_path / "key.json"), "--lost")
    assert (ran.code, ran.out) == (0, "a-1\n")
    assert hub.requests_to(KEYS)[0].json() == {**public, "approval": True}
    assert run("key", "replace", "--new", str(tmp_path / "key.json")).code == 2


def test_history_lists_every_key(hub: FakeHub, run: Run) -> None:
    items = [
        {
            "key": {"kid": kid},
            "from": "2026-03-01T12:00:00Z",
            "until": until,
            "manner": "approved",
            "by": ORGANIZATION,
            "approved_by": "kg.operator",
        }
        for kid, until in (("new", None), ("old", "2026-03-01T12:00:00Z"))
    ]
    hub.script("GET", KEYS, json_response({"items": items, "next": None}))
    shown = run("key", "history").out.splitlines()
    assert [line.split()[0] for line in shown] == ["kid", "new", "old"]
    assert "kg.operator" in shown[1]
