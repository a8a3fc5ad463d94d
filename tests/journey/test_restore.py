"""The drill: a hub is destroyed and restored from a backup; its loops and its log continue."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from admin.embedded_broker import BrokerFiles
from kopuro_client import RefusedError
from kopuro_client.commands import ExitCode, main
from runtime.storage.database import Database
from sandbox.broker import PrivateBroker
from sandbox.hub import Hub
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.merkle import root_at
from services.vault.adapters.key_store import SqliteKeyStore
from services.vault.adapters.tables import SEALED_CASES
from services.vault.ports import KeyKind
from tests.journey.running_hub import RunningHub
from tests.journey.waiting import until

REFERRAL = "wage-claim-osh-moscow"
# Files that an operator keeps apart from the backups: they change only with a key or the ports.
KEPT = ("hub.json", "credentials.json", "clients.json", "organizations.json", "discovery.json", "loaded")


@pytest.mark.timeout(300)  # starts two hubs
def test_destroyed_hub_is_restored_and_continues(
    broker: PrivateBroker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, kept, backup = (tmp_path / name for name in ("data", "kept", "backup"))
    databases = {
        "vault": f"sqlite:///{data}/data/vault.sqlite",
        "audit": f"sqlite:///{data}/data/audit.sqlite",
    }
    monkeypatch.delenv("KOPURO_DATABASE_TEMPLATE", raising=False)
    vhost = f"restore-{secrets.token_hex(6)}"
    monkeypatch.setenv("KOPURO_AMQP_URI", broker.add_vhost(vhost))

    hub = Hub(data, environment=os.environ)
    try:
        hub.start()
        running = RunningHub(hub, databases=databases)
        sender, receiver, erased = running.accepted(REFERRAL)
        assert receiver.hub.sealed_case(erased)
        sender, asked = running.submit(REFERRAL)
        running.demo.offers(sender, asked)
        assert main(["admin", "backup", str(backup), "--data-dir", str(data)]) == ExitCode.OK
    finally:
        hub.stop()
    checkpoint = (data / "log" / "checkpoint").read_bytes()

    # The vault erases a case after the backup. Then everything is lost except what is kept apart and the
    # vault's own keys on their mirrored disk.
    _erase(databases["vault"], data / "keys" / "vault.sqlite", erased)
    shutil.copytree(data / "keys", kept / "keys")
    for name in KEPT:
        shutil.copy(data / name, kept / name)
    shutil.rmtree(data)
    broker.remove_vhost(vhost)

    vhost = f"restored-{secrets.token_hex(6)}"
    monkeypatch.setenv("KOPURO_AMQP_URI", broker.add_vhost(vhost))
    shutil.copytree(kept, data)
    seen = tmp_path / "checkpoint-of-a-witness"
    seen.write_bytes(checkpoint)
    capsys.readouterr()
    line = ["admin", "restore", str(backup), "--data-dir", str(data), "--checkpoint", str(seen)]
    assert main(line) == ExitCode.OK
    assert capsys.readouterr().out.split() == [erased]

    hub = Hub(data, environment=os.environ)
    try:
        hub.start()
        running = RunningHub(hub, databases=databases)
        # The loop that was under way: the offer is accepted, and the case is released.
        acceptor, offer = running.next_offer(running.organization(sender.id), asked)
        acceptor.hub.accept(offer)
        acceptor.await_message("case.released", asked)
        assert acceptor.hub.sealed_case(asked)
        # A new loop.
        running.accepted(REFERRAL)
        # The erased case had been released; delivery's backup had it.
        with pytest.raises(RefusedError):
            running.organization(receiver.id).hub.sealed_case(erased)
        until(
            lambda: _named_by_reconciliation(data, capsys) == {erased},
            "the agreement of the log and the services, but for the erased case",
            within=60,
        )
        # The log is published within a second of a commit: these loops may have taken less.
        until(lambda: _longer(checkpoint, data), "a longer published log", within=10)
    finally:
        hub.stop()
        broker.remove_vhost(vhost)
    _assert_continues(databases["audit"], data, checkpoint)
    assert not BrokerFiles(root=data / "broker").identity.exists()


def _named_by_reconciliation(data: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return the referrals and records that differ from the log, while the hub is running."""
    capsys.readouterr()
    main(["admin", "reconcile", "--data-dir", str(data), "--settled", "0"])
    *differences, counts = capsys.readouterr().out.splitlines()
    assert "compared" in counts
    return {line.split()[0] for line in differences}


def _erase(vault: str, keys: Path, referral_id: str) -> None:
    """Destroy a case's key, as the vault does when consent is withdrawn."""
    database = Database.open(vault)
    with database.read() as transaction:
        query = select(SEALED_CASES.c.key_id).where(SEALED_CASES.c.referral_id == referral_id)
        key_id = transaction.execute(query).scalar_one()
    database.close()
    store = SqliteKeyStore(keys)
    store.destroy(KeyKind.case, [key_id])
    store.truncate()
    store.close()


def _checkpoints(before: bytes, data: Path) -> tuple[Checkpoint, Checkpoint]:
    """Return the given checkpoint and the one that is published now, verified."""
    key = load_log_key(data / "keys" / "log.json", "kg")
    return key.read(before), key.read((data / "log" / "checkpoint").read_bytes())


def _longer(checkpoint: bytes, data: Path) -> bool:
    before, now = _checkpoints(checkpoint, data)
    return now.size > before.size


def _assert_continues(audit: str, data: Path, checkpoint: bytes) -> None:
    """Assert that the present log is longer than the log of the checkpoint, and begins with it."""
    before, now = _checkpoints(checkpoint, data)
    assert now.size > before.size
    database = Database.open(audit)
    with database.read() as transaction:
        nodes = SqlLog().nodes(transaction)
        assert root_at(before.size, nodes) == before.root
        assert root_at(now.size, nodes) == now.root
    database.close()
