"""The identity of a running service: a key is replaced without a restart, and no message is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from errno import EMFILE
from pathlib import Path

import pytest

from contracts.manifest import Manifest, ServiceIdentity
from contracts.signatures import SigningKey
from runtime.messaging.headers import SIGNED
from runtime.messaging.outbox.wave_signer import WaveSigner
from runtime.messaging.ports import Outgoing
from runtime.messaging.signatures.identity import load_identity
from runtime.messaging.signatures.reloaded_identity import IdentityFiles, ReloadedIdentity
from runtime.messaging.signatures.statement import STATEMENT_TYPE
from runtime.messaging.signatures.verifier import NotAuthentic
from runtime.settings import Settings
from runtime.storage.database import Database
from tests.messaging.consumer_harness import METADATA, TABLES, opened
from tests.support.hub_keys import manifest, private_key, public_key, service_environment

BODY = b'{"an": "event"}'
OLD, NEW = "intake", "intake 2"


class Process:
    """A running service with files of its own."""

    def __init__(self, directory: Path, service: str, database: Database) -> None:
        directory.mkdir()
        self.directory, self.service, self._database = directory, service, database
        required = {
            "KOPURO_AMQP_URI": "amqp://127.0.0.1",
            "KOPURO_DATABASE_URL": "sqlite:////nowhere",
            "KOPURO_HTTP_ADDRESS": "127.0.0.1:1",
            "KOPURO_OPERATIONS_ADDRESS": "127.0.0.1:2",
            "KOPURO_DISCOVERY": "/nowhere",
            "KOPURO_HUB": "kg",
        }
        settings = Settings.from_environment({**required, **service_environment(directory, service)})
        self.identity = ReloadedIdentity(load_identity(settings, service), IdentityFiles(settings, service))

    def install(self, listed: Manifest) -> None:
        """Replace the manifest."""
        new = self.directory / "new"
        new.write_text(listed.signed(private_key("root")))
        new.replace(self.directory / "manifest.jws")

    def take(self, key: str) -> None:
        """Replace the content of the key file."""
        new = self.directory / "new"
        new.write_text(json.dumps(private_key(key)))
        new.replace(self.directory / f"service-{self.service}.json")

    def tick(self) -> None:
        self.identity.look(self._database, TABLES.manifests)

    def proof(self) -> str:
        return proof_by(self.identity.key)

    def accepts(self, proof: str) -> bool:
        try:
            return self.identity.verifier.author_of(BODY, proof) == "intake"
        except NotAuthentic:
            return False


def proof_by(key: SigningKey) -> str:
    message = Outgoing(exchange="", routing_key="", message_id="", partition_key="", body=BODY)
    (signed,) = WaveSigner(key).sign([message])
    return str(signed.headers[SIGNED])


def listing(version: int, *keys: str) -> Manifest:
    entry = ServiceIdentity(keys=tuple(public_key(key) for key in keys), user="kg.intake")
    return replace(manifest(), version=version, services={**manifest().services, "intake": entry})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        with database.write() as transaction:
            METADATA.create_all(transaction)
        yield database


@pytest.fixture
def author(tmp_path: Path, database: Database) -> Process:
    return Process(tmp_path / "intake", "intake", database)


@pytest.fixture
def reader(tmp_path: Path, database: Database) -> Process:
    return Process(tmp_path / "vault", "vault", database)


def test_key_is_replaced_without_a_restart_and_every_message_verifies(
    author: Process, reader: Process
) -> None:
    earlier = author.proof()
    for process in (reader, author):
        process.install(listing(2, NEW, OLD))
    author.take(NEW)
    author.tick()
    later = author.proof()
    assert author.identity.key.kid == public_key(NEW).kid
    # The reader has not looked since: the unknown key makes it read the manifest.
    assert reader.accepts(later)
    assert reader.accepts(earlier)
    reader.install(listing(3, NEW))
    reader.tick()
    assert reader.accepts(later)
    assert not reader.accepts(earlier)


def test_log_says_once_which_key_signs(author: Process, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    author.install(listing(2, NEW, OLD))
    author.tick()
    assert caplog.messages == []
    author.take(NEW)
    for _ in range(2):
        author.tick()
    assert caplog.messages == [f"signing with the key {public_key(NEW).kid} from now on"]


@pytest.mark.parametrize("key_first", [True, False])
def test_author_signs_with_the_new_key_when_both_files_are_there(author: Process, *, key_first: bool) -> None:
    for takes_key in (key_first, not key_first):
        assert author.identity.key.kid == public_key(OLD).kid
        if takes_key:
            author.take(NEW)
        else:
            author.install(listing(2, NEW, OLD))
        author.tick()
    assert author.identity.key.kid == public_key(NEW).kid


def test_older_and_forged_manifests_change_nothing(reader: Process, caplog: pytest.LogCaptureFixture) -> None:
    stolen = proof_by(SigningKey(private_key(OLD), STATEMENT_TYPE))
    reader.install(listing(3, NEW))
    reader.tick()
    assert not reader.accepts(stolen)
    reader.install(listing(2, NEW, OLD))
    assert not reader.accepts(stolen)
    (reader.directory / "manifest.jws").write_text(listing(4, OLD).signed(private_key("thief")))
    assert not reader.accepts(stolen)
    reader.tick()
    assert reader.identity.present.manifest.version == 3
    assert len(caplog.records) == 2


def test_manifest_that_could_not_be_read_once_is_read_at_the_next_look(
    reader: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = proof_by(SigningKey(private_key(OLD), STATEMENT_TYPE))
    reader.install(listing(2, NEW))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", _too_many_open_files)
        reader.tick()
        assert reader.accepts(stolen)
    reader.tick()
    assert not reader.accepts(stolen)


def test_file_that_stays_unreadable_is_reported_once(
    reader: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is read every second, and for each message with an unknown key."""
    reader.install(listing(2, NEW))
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_text", _too_many_open_files)
            for _ in range(3):
                reader.tick()
        reader.tick()
        reader.install(listing(3, NEW))
    # Once for each time that it could not be read.
    assert [record.getMessage() for record in caplog.records] == [
        "new identity unusable; keeping the present one"
    ] * 2
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", _too_many_open_files)
        for _ in range(3):
            reader.tick()
    assert len(caplog.records) == 3


def _too_many_open_files(*_: object, **__: object) -> str:
    raise OSError(EMFILE, "Too many open files")
