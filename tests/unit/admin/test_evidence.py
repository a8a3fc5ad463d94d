"""The command that verifies the vault's evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import update

from admin.environment_files import write_environment
from contracts.topology import SERVICES
from kopuro_client.commands import main
from kopuro_client.commands.exit_codes import ExitCode
from kopuro_client.sealing import public_key, seal
from services.vault.adapters.tables import EVIDENCE
from tests.support.hub_keys import service_environment
from tests.unit.services.vault.workbench import CASE, REFERRAL, Workbench, acceptance, sealed_case


@pytest.fixture
def vault(sqlite_database: str) -> Workbench:
    vault = Workbench(sqlite_database)
    vault.receive(sealed_case(seal(CASE, public_key(vault.custody))), acceptance())
    return vault


def test_evidence_of_a_release_is_verified_and_shown(
    vault: Workbench, sqlite_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service_environment(tmp_path, "vault")
    arguments = ["admin", "evidence", REFERRAL, "--database", sqlite_database, "--keys", str(tmp_path)]
    assert main(arguments) == ExitCode.OK
    said = capsys.readouterr()
    assert said.err == "verified: 1 signed fact, with version 1 of the manifest\n"
    shown = json.loads(said.out)
    assert (shown["type"], shown["author"], shown["problem"]) == (
        "kopuro.offer.accepted.v1",
        "routing",
        None,
    )
    assert json.loads(shown["event"])["data"]["referral_id"] == REFERRAL


@pytest.mark.parametrize("option", ["--env", "--data-dir"])
def test_evidence_is_read_from_the_database_and_the_manifest_of_a_hub(
    vault: Workbench,
    sqlite_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "keys").mkdir()
    variables = {**service_environment(tmp_path / "keys", "vault"), "KOPURO_DATABASE_URL": sqlite_database}
    for service in SERVICES:
        write_environment(tmp_path / "env" / f"{service}.env", variables)
    (tmp_path / "data").mkdir()
    for service in SERVICES:
        (tmp_path / "data" / f"{service}.sqlite").touch()
    (tmp_path / "data" / "vault.sqlite").unlink()
    (tmp_path / "data" / "vault.sqlite").symlink_to(sqlite_database.removeprefix("sqlite:///"))
    monkeypatch.setenv("KOPURO_DATABASE_URL", "sqlite:////nowhere/of-another-hub.sqlite")
    folder = tmp_path / "env" if option == "--env" else tmp_path
    assert main(["admin", "evidence", REFERRAL, option, str(folder)]) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert (shown["author"], shown["problem"]) == ("routing", None)


def test_changed_evidence_is_reported(
    vault: Workbench, sqlite_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service_environment(tmp_path, "vault")
    with vault.database.write() as transaction:
        (body,) = [body for _, body, _ in vault.evidence()]
        transaction.execute(update(EVIDENCE).values(body=body.replace(b"ru.", b"uz.")))
    arguments = ["admin", "evidence", REFERRAL, "--database", sqlite_database, "--keys", str(tmp_path)]
    assert main(arguments) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["author"], shown["problem"]) == (None, "the signature of routing covers other bytes")


@pytest.mark.parametrize(
    ("referral", "said"),
    [
        ("01930f6e-5d2a-7c11-8a4f-0b6d2f9c1aff", "no evidence: the vault has acted on no acceptance"),
        ("nosuch", "REFERRAL must be a lower-case UUID"),
    ],
)
@pytest.mark.usefixtures("vault")
def test_referral_without_evidence_is_not_said_to_be_verified(
    sqlite_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], referral: str, said: str
) -> None:
    service_environment(tmp_path, "vault")
    arguments = ["admin", "evidence", referral, "--database", sqlite_database, "--keys", str(tmp_path)]
    assert main(arguments) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert (shown.out, said in " ".join(shown.err.split())) == ("", True)


def test_environment_file_that_names_no_manifest_is_refused_with_its_name(
    tmp_path: Path, sqlite_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_environment(tmp_path / "vault.env", {"KOPURO_DATABASE_URL": sqlite_database})
    assert main(["admin", "evidence", REFERRAL, "--env", str(tmp_path)]) == ExitCode.USAGE
    assert "vault.env lacks KOPURO_HUB_KEY or KOPURO_MANIFEST" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--database", "sqlite:///x", "--data-dir", "."], "give --database, --env or --data-dir"),
        (["--env", ".", "--data-dir", "."], "give --env or --data-dir, not both"),
        (["--keys", "."], "give --env or --data-dir, or set KOPURO_DATABASE_TEMPLATE"),
        (["--database", "sqlite:///x"], "give --keys, which names the hub's manifest, or"),
    ],
)
def test_hub_that_is_named_twice_or_not_at_all_is_refused(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["admin", "evidence", REFERRAL, *arguments]) == 2
    assert text in " ".join(capsys.readouterr().err.split())
