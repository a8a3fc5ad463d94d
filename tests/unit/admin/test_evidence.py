"""The command that verifies the vault's evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import update

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
    shown = json.loads(capsys.readouterr().out)
    assert (shown["type"], shown["author"], shown["problem"]) == (
        "kopuro.offer.accepted.v1",
        "routing",
        None,
    )
    assert json.loads(shown["event"])["data"]["referral_id"] == REFERRAL


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
