"""A file that is not a proof exits with 2, a proof that does not verify with 9."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.client.commands.conftest import Run
from tests.unit.client.tlog.log_writer import LOG, Log, entries

OTHER_FILES = {
    "empty": b"",
    "text": b"a letter",
    "not UTF-8": b'{"a": "\xff"}',
    "list": b"[]",
    "object": b"{}",
    "referral": b'{"needs": [], "case": "x"}',
    "message": b'{"type": "kopuro.offer.opened.v1", "data": {"offer_id": "o1"}}',
    "other format": b'{"format": "kopuro-export/1"}',
}


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))


@pytest.mark.parametrize("kind", OTHER_FILES)
@pytest.mark.parametrize("command", ["bundle", "receipt"])
def test_file_of_another_kind_exits_with_2_and_names_it(
    run: Run, tmp_path: Path, kind: str, command: str
) -> None:
    file = tmp_path / "given.json"
    file.write_bytes(OTHER_FILES[kind])
    ran = run("verify", command, str(file), "--log-key", LOG.vkey)
    assert (ran.code, ran.out) == (2, "")
    assert str(file) in ran.err
    ran = run("verify", command, str(file), "--log-key", LOG.vkey, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert json.loads(ran.err)["type"] == "urn:kopuro:command:usage"


@pytest.mark.parametrize(
    "content",
    [b'{"leaf": "x", "proof": "y"}', b'{"data": {"receipts": 5}}', b'{"receipts": [], "receipts": 1}'],
)
def test_receipt_with_false_proof_exits_with_9(run: Run, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(content)
    ran = run("verify", "receipt", str(file), "--log-key", LOG.vkey)
    assert (ran.code, ran.err) == (9, "")
    assert ran.out.startswith("Verification failed: ")


def test_bundle_with_missing_member_exits_with_9(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_text('{"format": "kopuro-bundle/2"}')
    assert run("verify", "bundle", str(file), "--log-key", LOG.vkey).code == 9


def test_since_file_that_is_not_a_checkpoint_exits_with_2(run: Run, tmp_path: Path) -> None:
    log = Log(entries(20)).write(tmp_path / "log")
    (tmp_path / "since").write_text("a letter")
    ran = run("verify", "log", str(log), "--log-key", LOG.vkey, "--since", str(tmp_path / "since"))
    assert (ran.code, ran.out) == (2, "")
    assert f"{tmp_path / 'since'} is not a checkpoint" in ran.err


def test_log_directory_that_does_not_exist_exits_with_2(run: Run, tmp_path: Path) -> None:
    ran = run("verify", "log", str(tmp_path / "absent"), "--log-key", LOG.vkey)
    assert (ran.code, ran.out) == (2, "")
    assert "absent is not a directory" in ran.err


@pytest.mark.parametrize("option", ["--log-key", "--policy"])
def test_faulty_key_or_policy_file_exits_with_2_and_names_it(run: Run, tmp_path: Path, option: str) -> None:
    log = Log(entries(20)).write(tmp_path / "log")
    (tmp_path / "given").write_text("nothing\n")
    ran = run("verify", "log", str(log), option, str(tmp_path / "given"))
    assert (ran.code, ran.out) == (2, "")
    assert f"{tmp_path / 'given'}: " in ran.err


def test_private_key_given_as_log_key_is_not_repeated(run: Run, tmp_path: Path) -> None:
    log = Log(entries(20)).write(tmp_path / "log")
    ran = run("verify", "log", str(log), "--log-key", "PRIVATE+KEY+kopuro/kg+00000000+AAAA")
    assert (ran.code, ran.out) == (2, "")
    assert "AAAA" not in ran.err
