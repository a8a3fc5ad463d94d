"""`kopuro verify` and `kopuro witness`, with text and JSON output."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from kopuro_client.tlog import TrustPolicy, parse_checkpoint
from tests.unit.client.commands.conftest import Run
from tests.unit.client.fake_hub import FakeHub, Response, json_response
from tests.unit.client.tlog.log_writer import (
    LOG,
    REFERRAL,
    Key,
    Log,
    b64,
    compact,
    content,
    entries,
    mixed_bundle,
    mixed_entries,
    path,
    policy_text,
    with_manifest,
    write_files,
)

LEAVES = entries(600)
TRUE = Log(LEAVES)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def policy(tmp_path: Path) -> str:
    file = tmp_path / "policy"
    file.write_text(policy_text())
    return str(file)


def serve(hub: FakeHub, log: Log, size: int | None = None) -> str:
    """Serve the log at the fake hub's audit service and return its URL."""
    for name, body in log.files(size).items():
        hub.script("GET", f"/audit/{name}", Response(status=200, body=body))
    missing = Response(status=404)
    hub.script("GET", "/audit/cosigned-checkpoint", missing)
    hub.script("GET", "/audit/v1/log-key", Response(status=200, body=f"{LOG.vkey}\n".encode()))
    return f"{hub.base}/audit"


def test_verify_log_of_directory_reads_only_new_entries_the_second_time(run: Run, tmp_path: Path) -> None:
    root = TRUE.write(tmp_path / "log", 300)
    ran = run("verify", "log", str(root), "--log-key", LOG.vkey)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(
        "Verified: the log kopuro/test matches its signed checkpoint at 300 entries, 300 of them"
    )
    TRUE.write(root)
    verdict = run("verify", "log", str(root), "--json").json()  # uses the remembered key
    assert verdict["holds"] is True
    assert (verdict["first"], verdict["entries"], verdict["continues"]) == (256, 344, [300])
    assert verdict["log_key_from"] == "remembered"
    whole = run("verify", "log", str(root), "--whole", "--json").json()
    assert (whole["first"], whole["entries"]) == (0, 600)


@pytest.mark.parametrize("as_json", [False, True])
def test_verify_log_with_changed_byte_exits_with_9(run: Run, tmp_path: Path, as_json: bool) -> None:
    root = TRUE.write(tmp_path / "log")
    bundle = root / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"opened", b"0pened", 1))
    ran = run("verify", "log", str(root), "--log-key", LOG.vkey, *["--json"] * as_json)
    sentence = "Verification failed: entry 256 does not match its hash in tile/0/001."
    assert ran.code == 9
    if as_json:
        assert ran.json() == {"holds": False, "sentence": sentence, "failure": "content", "evidence": []}
    else:
        assert ran.out == sentence + "\n"


def test_verify_log_prints_evidence_of_rollback_and_fork(run: Run, tmp_path: Path) -> None:
    root = TRUE.write(tmp_path / "log", 500)
    assert run("verify", "log", str(root), "--log-key", LOG.vkey).code == 0
    TRUE.write(root, 300)
    ran = run("verify", "log", str(root))
    assert (ran.code, ran.out) == (
        9,
        "Verification failed: the log has 300 entries, but signed 500 before.\n",
    )
    assert TRUE.text(500) in ran.err
    assert TRUE.text(300) in ran.err
    fork = Log(entries(600, tree="fork", common=100))
    fork.write(root)
    verdict = run("verify", "log", str(root), "--json")
    assert (verdict.code, verdict.json()["failure"]) == (9, "fork")
    assert verdict.json()["evidence"][1] == fork.note()
    # The memory is unchanged.
    assert run("verify", "log", str(TRUE.write(tmp_path / "true"))).code == 0


def test_verify_log_since_compares_with_given_checkpoint(run: Run, tmp_path: Path) -> None:
    root, seen = TRUE.write(tmp_path / "log"), tmp_path / "seen"
    key = ("--log-key", LOG.vkey, "--state", str(tmp_path / "other"))
    seen.write_text(TRUE.note(550))
    verdict = run("verify", "log", str(root), "--since", str(seen), *key, "--json").json()
    assert (verdict["first"], verdict["continues"]) == (512, [550])
    for other in (Log(entries(700)), Log(entries(500, tree="fork"))):
        seen.write_text(other.note())
        assert run("verify", "log", str(root), "--since", str(seen), *key).code == 9
    seen.write_text(Log(LEAVES[:550], keys=(Key(LOG.name, 1, b"x" * 32),)).note())
    assert run("verify", "log", str(root), "--since", str(seen), *key).code == 9


def test_verify_log_over_http_uses_the_named_key(hub: FakeHub, run: Run) -> None:
    address = serve(hub, TRUE)
    ran = run("verify", "log", address)
    assert ran.code == 0
    assert f"provided that the log's key is {LOG.vkey}" in ran.out
    assert "compare it" in ran.err
    assert "provided" not in run("verify", "log", address).out  # uses the remembered key
    assert run("verify", "log", hub.url, "--log-key", LOG.vkey).code == 0  # by the discovery URL
    assert all("authorization" not in request.headers for request in hub.received)


def test_verify_log_with_changed_key_is_refused(run: Run, tmp_path: Path) -> None:
    root = TRUE.write(tmp_path / "log")
    assert run("verify", "log", str(root), "--log-key", LOG.vkey).code == 0
    other = Key(LOG.name, 1, b"x" * 32)
    write_files(root, {"checkpoint": Log(LEAVES, keys=(other,)).note().encode()})
    assert run("verify", "log", str(root)).code == 9
    ran = run("verify", "log", str(root), "--log-key", other.vkey)
    assert ran.code == 9
    assert "with another key before" in ran.out


def test_verify_log_counts_witnesses(run: Run, tmp_path: Path, policy: str) -> None:
    root = TRUE.write(tmp_path / "log")
    verdict = run("verify", "log", str(root), "--policy", policy, "--json").json()
    assert [one["witness"] for one in verdict["cosigned"]] == ["witness.example/one", "witness.example/two"]
    assert verdict["witnessed_size"] == 600
    alone = Log(LEAVES, keys=(LOG,)).write(tmp_path / "alone")
    ran = run("verify", "log", str(alone), "--policy", policy)
    assert ran.code == 9
    assert "too few witnesses" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["log", "/no/such/directory"],
        ["log", ".", "--log-key", "not a key"],
        ["log", ".", "--policy", "/no/such/policy"],
        ["bundle", "/no/such/file"],
        ["receipt", "/no/such/file"],
        ["log"],
    ],
)
def test_verify_with_invalid_command_line_exits_with_2(run: Run, arguments: list[str]) -> None:
    ran = run("verify", *arguments)
    assert ran.code == 2
    assert "olds" not in ran.out


def test_verify_log_of_directory_without_key_is_usage_error(run: Run, tmp_path: Path) -> None:
    ran = run("verify", "log", str(TRUE.write(tmp_path / "log")))
    assert (ran.code, ran.out) == (2, "")
    assert "--log-key" in ran.err


def test_verify_log_with_refused_connection_exits_with_6(run: Run) -> None:
    ran = run("verify", "log", "http://127.0.0.1:9/")
    assert (ran.code, ran.out) == (6, "")


def test_verify_bundle_checks_proofs_and_content(run: Run, tmp_path: Path, policy: str) -> None:
    file = tmp_path / "case.json"
    log = Log(LEAVES[:30])
    file.write_bytes(compact(log.bundle(opened={0: content(0)})))
    ran = run("verify", "bundle", str(file), "--policy", policy)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        f"Verified: 10 entries of referral {REFERRAL} are in the log kopuro/test of 30 entries; the content "
        "of 1 of them matches the log; 2 of 2 witnesses cosigned it.\n"
    )
    verdict = run("verify", "bundle", str(file), "--json").json()
    assert (verdict["log_key_from"], verdict["entries"], verdict["complete"]) == ("named", 10, None)
    written = bytearray(file.read_bytes())
    written[len(written) // 2] ^= 1
    file.write_bytes(written)
    assert run("verify", "bundle", str(file), "--policy", policy).code == 9


def test_verify_bundle_against_log_finds_omitted_entry(run: Run, tmp_path: Path) -> None:
    root = TRUE.write(tmp_path / "log")
    document = Log(LEAVES[:300]).bundle()
    file = tmp_path / "case.json"
    file.write_bytes(compact(document))
    against = ("--log", str(root), "--log-key", LOG.vkey)
    verdict = run("verify", "bundle", str(file), *against, "--json").json()
    assert (verdict["holds"], verdict["complete"]) == (True, True)
    del document["entries"][7]
    file.write_bytes(compact(with_manifest(document)))
    assert run("verify", "bundle", str(file), "--log-key", LOG.vkey).code == 0
    ran = run("verify", "bundle", str(file), *against)
    assert (ran.code, ran.out) == (
        9,
        "Verification failed: the bundle omits entry 21 of the same referral.\n",
    )


def test_verify_bundle_with_key_finds_omitted_entry_among_leaves_that_name_nobody(
    run: Run, tmp_path: Path
) -> None:
    log = Log(mixed_entries(300, 30))
    root = log.write(tmp_path / "log")
    document = mixed_bundle(log)
    file = tmp_path / "case.json"
    against = ("--log", str(root), "--log-key", LOG.vkey)
    file.write_bytes(compact(document))
    assert run("verify", "bundle", str(file), *against, "--json").json()["complete"] is True
    assert document["entries"].pop(105)["index"] == 315
    file.write_bytes(compact(with_manifest(document)))
    ran = run("verify", "bundle", str(file), *against)
    assert (ran.code, ran.out) == (
        9,
        "Verification failed: the bundle omits entry 315 of the same referral.\n",
    )


@pytest.mark.parametrize("known", ["no key", "no entry that names the key"])
def test_verify_bundle_without_certain_key_claims_only_earlier_formats(
    run: Run, tmp_path: Path, known: str
) -> None:
    log = Log(mixed_entries(300, 30))
    document = mixed_bundle(log, key=None if known == "no key" else b"?" * 32)
    if known != "no key":
        del document["entries"][100:]
    file = tmp_path / "case.json"
    file.write_bytes(compact(with_manifest(document)))
    against = ("--log", str(log.write(tmp_path / "log")), "--log-key", LOG.vkey)
    ran = run("verify", "bundle", str(file), *against)
    assert ran.code == 0
    assert "the log has no other entry of that referral in formats 1 and 2" in ran.out
    assert run("verify", "bundle", str(file), *against, "--json").json()["complete"] is False


def test_verify_bundle_of_fork_is_refused_by_remembered_checkpoint(run: Run, tmp_path: Path) -> None:
    assert run("verify", "log", str(TRUE.write(tmp_path / "log", 300)), "--log-key", LOG.vkey).code == 0
    file = tmp_path / "case.json"
    file.write_bytes(compact(Log(entries(300, tree="fork")).bundle()))
    assert run("verify", "bundle", str(file), "--json").json()["failure"] == "fork"


def receipt_of(index: int) -> dict[str, Any]:
    leaf, fields = LEAVES[index].decode(), json.loads(LEAVES[index])
    proof = "".join(f"{b64(digest)}\n" for digest in path(index, TRUE.hashes))
    return {
        "message_id": fields["message_id"],
        "message_type": fields["type"],
        "referral_id": fields["referral_id"],
        "leaf": leaf,
        "proof": f"c2sp.org/tlog-proof@v1\nindex {index}\n{proof}\n{TRUE.note()}",
    }


def test_verify_receipt_accepts_an_older_format(run: Run, tmp_path: Path, policy: str) -> None:
    file = tmp_path / "receipt.json"
    receipt = receipt_of(9)
    for written in (receipt, {"specversion": "1.0", "data": receipt}, receipts_of(9)):
        file.write_text(json.dumps(written))
        ran = run("verify", "receipt", str(file), "--policy", policy)
        assert ran.code == 0
        assert f"kopuro.offer.opened.v1 of referral {REFERRAL} is entry 9 of the log kopuro/test" in ran.out
    for name, value in (
        ("leaf", receipt_of(12)["leaf"]),
        ("proof", receipt_of(12)["proof"]),
        ("proof", receipt["proof"].replace("index 9", "index 09")),
        ("proof", "nothing"),
        ("message_type", "kopuro.offer.declined.v1"),
    ):
        file.write_text(json.dumps({**receipt, name: value}))
        assert run("verify", "receipt", str(file), "--policy", policy).code == 9


def receipts_of(*indices: int) -> dict[str, Any]:
    """Return a message with receipts, as a mailbox delivers it."""
    places: dict[str, int] = {}
    listed = []
    for index in indices:
        way = [places.setdefault(b64(digest), len(places)) for digest in path(index, TRUE.hashes)]
        listed.append({"index": index, "leaf": LEAVES[index].decode(), "path": way})
    data = {
        "organization": "kg.osh",
        "checkpoint": TRUE.note(),
        "hashes": list(places),
        "receipts": listed,
    }
    return {"specversion": "1.0", "type": "kopuro.receipts.issued.v1", "data": data}


def test_verify_receipt_verifies_several_receipts(run: Run, tmp_path: Path, policy: str) -> None:
    file = tmp_path / "receipts.json"
    written = receipts_of(9, 12, 599)
    file.write_text(json.dumps(written))
    ran = run("verify", "receipt", str(file), "--policy", policy)
    assert ran.code == 0
    assert ran.out.startswith("Verified: 3 steps are entries of the log kopuro/test")
    assert "\n9: kopuro.offer.opened.v1 of referral" in ran.out
    verdict = run("verify", "receipt", str(file), "--policy", policy, "--json").json()
    assert [one["index"] for one in verdict["receipts"]] == [9, 12, 599]
    assert verdict["receipts"][0]["leaf"] == json.loads(LEAVES[9])
    # One invalid receipt invalidates the message, whatever its position.
    for at in range(3):
        written = receipts_of(9, 12, 599)
        written["data"]["receipts"][at]["leaf"] = LEAVES[100].decode()
        file.write_text(json.dumps(written))
        ran = run("verify", "receipt", str(file), "--policy", policy, "--json")
        assert (ran.code, ran.json()["failure"]) == (9, "proof")


@pytest.mark.usefixtures("any_umask")
def test_witness_run_writes_the_cosigned_checkpoint(hub: FakeHub, run: Run, tmp_path: Path) -> None:
    key, output = tmp_path / "witness.key", tmp_path / "cosigned"
    verifier = run("witness", "key", "generate", str(key), "--name", "union.example/w").out.strip()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert run("witness", "key", "generate", str(key), "--name", "union.example/w").code == 2
    assert run("witness", "key", "generate", str(tmp_path / "x"), "--name", "two words").code == 2
    shared = ("--key", str(key), "--log-key", LOG.vkey, "--state", str(tmp_path / "seen"), "--once")
    address = serve(hub, TRUE, 300)
    assert run("witness", "run", address, *shared, "--output", str(output)).code == 0
    policy = TrustPolicy.parse(f"log {LOG.vkey}\nwitness w {verifier}\nquorum w\n")
    assert policy.accept(output.read_bytes()).checkpoint.size == 300
    cosigned = run("witness", "run", address, *shared).out
    assert parse_checkpoint(cosigned, policy.logs).size == 300

    fork = Log(entries(300, tree="fork")).write(tmp_path / "fork")
    ran = run("witness", "run", str(fork), *shared)
    assert ran.code == 9
    assert "does not extend the 300 cosigned entries" in ran.out
    note_key = ("--key", str(tmp_path / "nothing"), *shared[2:])
    assert run("witness", "run", address, *note_key).code == 2
    assert run("witness", "serve", *shared[:-1], "--listen", "nowhere").code == 2


def test_verify_receipt_without_key_is_usage_error(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(receipt_of(9)))
    assert run("verify", "receipt", str(file)).code == 2


def test_verify_log_with_failing_hub_does_not_exit_with_9(hub: FakeHub, run: Run) -> None:
    address = f"{hub.base}/audit"
    hub.script("GET", "/audit/checkpoint", json_response({}, status=500))
    ran = run("verify", "log", address)
    assert (ran.code, ran.out) == (8, "")
