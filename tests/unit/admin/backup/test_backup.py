"""Backups of real databases, and what a restore refuses. The hub has no processes here."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import shutil
import signal
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, make_url, select, text

from admin.backup import restore
from admin.backup.backup_record import RECORD
from admin.backup.database_copies import is_empty, restore_database
from admin.backup.hub_places import HubPlaces
from admin.backup.quiet import HubMark, ServiceMark
from admin.backup.restore import Restored, RestoreRefused, restore_backup
from admin.backup.take import NeverQuiet, take_backup
from admin.hub_databases import ServiceDatabase
from admin.key_files import write_key_files
from admin.schema_revisions import migrated, revision_of
from contracts.topology import SERVICES
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import Database, sqlite_url
from runtime.storage.migrate import differences, known_revisions
from services.audit.adapters.tables import HEAD
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.delivery.adapters.tables import CASE_LETTERS
from services.vault.adapters.key_store import SqliteKeyStore
from services.vault.adapters.tables import SEALED_CASES
from services.vault.ports import KeyKind
from tests import postgres_programs
from tests.servers import PostgresServer
from tests.support.disk_steps import recorded_steps

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
OPEN, ERASED = "01900000-0000-7000-8000-00000000000a", "01900000-0000-7000-8000-00000000000b"


def quiet(_: HubPlaces) -> HubMark:
    return HubMark(services={"intake": ServiceMark(sent=1, waiting=0, received=0)}, queues={"audit.log": 0})


def still(_: float) -> None:
    """Do not wait."""


@pytest.fixture(scope="module")
def migrated_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six migrated databases, for every test to copy."""
    directory = tmp_path_factory.mktemp("migrated")
    for service in SERVICES:
        url = sqlite_url(directory / f"{service}.sqlite")
        migrated(ServiceDatabase(service=service, url=url), None)
    return directory


@pytest.fixture
def hub(tmp_path: Path, migrated_files: Path) -> HubPlaces:
    """A hub with an empty log and two cases: each in the vault, and released to delivery."""
    shutil.copytree(migrated_files, tmp_path / "data")
    write_key_files(tmp_path / "keys", "kg")
    places = HubPlaces(
        hub="kg",
        databases={
            service: ServiceDatabase(service=service, url=sqlite_url(tmp_path / "data" / f"{service}.sqlite"))
            for service in SERVICES
        },
        vault_keys=tmp_path / "keys" / "vault.sqlite",
        log=tmp_path / "log",
        log_key=tmp_path / "keys" / "log.json",
        broker={},
    )
    keys = SqliteKeyStore(places.vault_keys)
    keys.add(KeyKind.transit, {"transit": b"t" * 32}, NOW)
    # Made last: its destruction must not make the file look old.
    made_at = NOW + dt.timedelta(minutes=50)
    keys.add(KeyKind.case, {f"key-{OPEN}": b"o" * 32, f"key-{ERASED}": b"e" * 32}, made_at)
    keys.truncate()
    keys.close()
    _write(
        places,
        "vault",
        [
            insert(SEALED_CASES).values(
                referral_id=id_, wrapped_key="w", ciphertext=f"case of {id_}", key_id=f"key-{id_}"
            )
            for id_ in (OPEN, ERASED)
        ],
    )
    _write(
        places,
        "delivery",
        [
            insert(CASE_LETTERS).values(
                referral_id=id_, organization="kg.osh", sealed_case=f"letter of {id_}"
            )
            for id_ in (OPEN, ERASED)
        ],
    )
    signing = load_log_key(places.log_key, "kg")
    database = Database.open(places.databases["audit"].url)
    with database.write() as transaction:
        head = signing.sign(Frontier(), Chronology(), NOW)
        SqlLog().initialize(transaction, head)
    database.close()
    DirectoryPublication(places.log).swap("checkpoint", head.checkpoint)
    return places


def _write(places: HubPlaces, service: str, statements: Sequence[object]) -> None:
    database = Database.open(places.databases[service].url)
    with database.write() as transaction:
        for statement in statements:
            transaction.execute(statement)  # type: ignore[call-overload]
    database.checkpoint_wal()
    database.close()


def _letters(places: HubPlaces) -> dict[str, str | None]:
    database = Database.open(places.databases["delivery"].url)
    with database.read() as transaction:
        rows = transaction.execute(select(CASE_LETTERS.c.referral_id, CASE_LETTERS.c.sealed_case)).all()
    database.close()
    return {row.referral_id: row.sealed_case for row in rows}


def _destroy(places: HubPlaces) -> None:
    """Lose everything but the keys, the vault's own among them."""
    shutil.rmtree(places.vault_keys.parent.parent / "data")
    shutil.rmtree(places.log, ignore_errors=True)


def _erase(places: HubPlaces, referral_id: str) -> None:
    keys = SqliteKeyStore(places.vault_keys)
    keys.destroy(KeyKind.case, [f"key-{referral_id}"])
    keys.truncate()
    keys.close()


def _restore(
    places: HubPlaces, source: Path, *checkpoints: Path, without_vault_keys: bool = False
) -> Restored:
    return restore_backup(
        places, source, checkpoints=checkpoints, without_vault_keys=without_vault_keys, now=NOW
    )


@pytest.mark.usefixtures("any_umask")
def test_restored_hub_has_the_same_databases_and_log(hub: HubPlaces, tmp_path: Path) -> None:
    record = take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    assert record.log_size == 0
    assert record.newest_vault_key is not None
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "backup" / "databases").iterdir()} == {
        0o600
    }
    assert stat.S_IMODE((tmp_path / "backup" / "log" / "checkpoint").stat().st_mode) == 0o644
    checkpoint = (hub.log / "checkpoint").read_bytes()
    _destroy(hub)
    assert _restore(hub, tmp_path / "backup").erased == ()
    assert _letters(hub) == {id_: f"letter of {id_}" for id_ in (OPEN, ERASED)}
    assert (hub.log / "checkpoint").read_bytes() == checkpoint


def test_backup_and_restored_files_are_on_disk_before_their_end(
    hub: HubPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "backup"
    steps = recorded_steps(monkeypatch, tmp_path)
    take_backup(hub, backup, wait=0, look=quiet, sleep=still)
    taken = {str(path.relative_to(tmp_path)) for path in (backup, *backup.rglob("*"))} - {f"backup/{RECORD}"}
    *before, draft, record, name = [path for _, path in steps]
    assert taken | {"."} <= set(before)
    assert (draft, record, name) == (f"backup/{RECORD}.new", f"backup/{RECORD}", "backup")

    _destroy(hub)
    steps.clear()
    _restore(hub, backup)
    assert {"log", "log/checkpoint"} <= {path for step, path in steps if step == "sync"}
    for service in SERVICES:
        renamed = steps.index(("rename", f"data/{service}.sqlite"))
        assert steps[renamed - 1 : renamed + 2 : 2] == [
            ("sync", f"data/{service}.sqlite.restoring"),
            ("sync", "data"),
        ]
    assert steps[-2:] == [("rename", "data/delivery.sqlite"), ("sync", "data")]


def test_backup_is_restored_from_a_relative_path(
    hub: HubPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    take_backup(hub, Path("backup"), wait=0, look=quiet, sleep=still)
    _destroy(hub)
    _restore(hub, Path("backup"))
    assert _letters(hub) == {id_: f"letter of {id_}" for id_ in (OPEN, ERASED)}


def test_restored_files_belong_to_the_accounts_of_the_services(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _destroy(hub)
    account = 12345 if os.geteuid() == 0 else os.getuid()
    for directory in (tmp_path / "data", hub.log):
        directory.mkdir()
        os.chown(directory, account, -1)
    _restore(hub, tmp_path / "backup")
    restored = [*(tmp_path / "data").glob("*.sqlite"), *hub.log.rglob("*")]
    assert len(restored) > len(SERVICES)
    assert {file.stat().st_uid for file in restored} == {account}


def test_backup_contains_no_key(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    names = {file.name for file in (tmp_path / "backup").rglob("*") if file.is_file()}
    assert names == {RECORD, "checkpoint", *(f"{service}.sqlite" for service in SERVICES)}
    content = b"".join(file.read_bytes() for file in (tmp_path / "backup").rglob("*") if file.is_file())
    assert b"o" * 32 not in content
    assert json.loads(hub.log_key.read_text())["d"].encode() not in content


def test_case_erased_after_the_backup_stays_erased_everywhere(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _erase(hub, ERASED)
    _destroy(hub)
    assert _restore(hub, tmp_path / "backup").erased == (ERASED,)
    assert _letters(hub) == {OPEN: f"letter of {OPEN}", ERASED: None}
    files = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("delivery.sqlite*"))
    assert f"letter of {ERASED}".encode() not in files


def test_surviving_keys_are_accepted_when_every_case_was_erased(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    for referral_id in (OPEN, ERASED):
        _erase(hub, referral_id)
    _destroy(hub)
    assert _restore(hub, tmp_path / "backup").erased == (OPEN, ERASED)


@pytest.mark.usefixtures("any_umask")
def test_older_file_of_the_vaults_keys_is_refused(hub: HubPlaces, tmp_path: Path) -> None:
    old = tmp_path / "old-copy.sqlite"
    shutil.copy(hub.vault_keys, old)
    keys = SqliteKeyStore(hub.vault_keys)
    keys.add(KeyKind.transit, {"next transit": b"n" * 32}, NOW + dt.timedelta(hours=1))
    keys.truncate()
    keys.close()
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _destroy(hub)
    shutil.copy(old, hub.vault_keys)
    with pytest.raises(RestoreRefused, match="is older than the backup"):
        _restore(hub, tmp_path / "backup")
    hub.vault_keys.unlink()
    with pytest.raises(RestoreRefused, match="put the surviving file or its mirror there"):
        _restore(hub, tmp_path / "backup")
    assert not (tmp_path / "data").exists()
    # Without the keys no case can be opened, and every case is named as erased.
    assert _restore(hub, tmp_path / "backup", without_vault_keys=True).erased == (OPEN, ERASED)
    assert set(_letters(hub).values()) == {None}
    assert stat.S_IMODE(hub.vault_keys.stat().st_mode) == 0o600


def test_backup_older_than_a_published_checkpoint_is_refused(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    signing = load_log_key(hub.log_key, "kg")
    later = signing.sign(Frontier().append(leaf_hash(b"entry")), Chronology(), NOW)
    seen = tmp_path / "checkpoint-of-a-witness"
    seen.write_bytes(later.checkpoint)
    _destroy(hub)
    with pytest.raises(RestoreRefused, match=r"has 0 entries of the log, but .*-witness proves that 1 were"):
        _restore(hub, tmp_path / "backup", seen)
    # The published log that survived proves the same.
    DirectoryPublication(hub.log).swap("checkpoint", later.checkpoint)
    with pytest.raises(RestoreRefused, match="would be a fork"):
        _restore(hub, tmp_path / "backup")
    assert not (tmp_path / "data").exists()
    seen.write_bytes(b"kopuro/kg\n1\n")
    shutil.rmtree(hub.log)
    with pytest.raises(InvalidArgumentError, match="is not a checkpoint that this log's key signed"):
        _restore(hub, tmp_path / "backup", seen)


def test_checkpoint_of_another_history_is_refused(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    record = json.loads((tmp_path / "backup" / RECORD).read_text())
    (tmp_path / "backup" / RECORD).write_text(json.dumps({**record, "log_size": 1}))
    signing = load_log_key(hub.log_key, "kg")
    other = signing.sign(Frontier().append(leaf_hash(b"another entry")), Chronology(), NOW)
    (tmp_path / "seen").write_bytes(other.checkpoint)
    _destroy(hub)
    with pytest.raises(RestoreRefused, match="seen has another history than the log in the backup"):
        _restore(hub, tmp_path / "backup", tmp_path / "seen")
    assert not (tmp_path / "data").exists()


def test_interrupted_restore_leaves_no_delivery_with_erased_cases(
    hub: HubPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _erase(hub, ERASED)
    _destroy(hub)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(restore, "_erase_again", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _restore(hub, tmp_path / "backup")
    assert not (tmp_path / "data" / "delivery.sqlite").exists()
    with pytest.raises(RestoreRefused, match="also after an interrupted restore"):
        _restore(hub, tmp_path / "backup")


@pytest.fixture
def delivery_dump(
    hub: HubPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> Iterator[HubPlaces]:
    """A destroyed hub with a backup of delivery's PostgreSQL database, and an empty database for it.

    One of its two cases was erased after the backup.
    """
    monkeypatch.setenv("PATH", f"{postgres_programs.installed()}{os.pathsep}{os.environ['PATH']}")
    urls = [postgres.create_database() for _ in range(2)]
    source, target = (ServiceDatabase(service="delivery", url=url) for url in urls)
    migrated(source, None)
    places = replace(hub, databases={**hub.databases, "delivery": source})
    letters = [(OPEN, "letter of\ttwo\nlines \\. ; --"), (ERASED, "letter to erase")]
    _write(
        places,
        "delivery",
        [
            insert(CASE_LETTERS).values(referral_id=id_, organization="kg.osh", sealed_case=letter)
            for id_, letter in letters
        ],
    )
    take_backup(places, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _erase(hub, ERASED)
    _destroy(hub)
    yield replace(hub, databases={**hub.databases, "delivery": target})
    for url in urls:
        postgres.drop_database(url)


@pytest.mark.parametrize("moment", ["before the erasure", "before the commit"])
def test_killed_restore_leaves_no_erased_case_in_postgresql(
    delivery_dump: HubPlaces, tmp_path: Path, moment: str
) -> None:
    erase_again = restore._erase_again

    def killed(*arguments: Any) -> None:
        if moment == "before the commit":
            erase_again(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    def restore_until_killed() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(restore, "_erase_again", killed)
            _restore(delivery_dump, tmp_path / "backup")

    process = multiprocessing.get_context("fork").Process(target=restore_until_killed)
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert is_empty(delivery_dump.databases["delivery"])
    with pytest.raises(RestoreRefused, match="also after an interrupted restore"):
        _restore(delivery_dump, tmp_path / "backup")


def test_postgresql_is_restored_with_its_erasure(delivery_dump: HubPlaces, tmp_path: Path) -> None:
    assert _restore(delivery_dump, tmp_path / "backup").erased == (ERASED,)
    assert _letters(delivery_dump) == {OPEN: "letter of\ttwo\nlines \\. ; --", ERASED: None}
    database = Database.open(delivery_dump.databases["delivery"].url)
    assert differences("services.delivery", database) == []
    database.close()


def test_damaged_dump_leaves_an_empty_database(delivery_dump: HubPlaces, tmp_path: Path) -> None:
    place, dump = delivery_dump.databases["delivery"], tmp_path / "backup" / "databases" / "delivery.dump"
    whole = dump.read_bytes()
    dump.write_bytes(whole[: len(whole) * 3 // 4])
    erased: list[object] = []
    with pytest.raises(InvalidArgumentError, match="pg_restore for delivery failed"):
        restore_database(place, dump, before=erased.append)
    assert is_empty(place)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_backup_of_an_earlier_build_is_erased_again(
    hub: HubPlaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    """Erasure reads columns that the copy of delivery's database does not have yet."""
    earlier = known_revisions("services.delivery")[-2]
    target = hub.databases["delivery"]
    if kind == "sqlite":
        Path(str(make_url(target.url).database)).unlink()
        places = hub
    else:
        monkeypatch.setenv("PATH", f"{postgres_programs.installed()}{os.pathsep}{os.environ['PATH']}")
        postgres: PostgresServer = request.getfixturevalue("postgres")
        urls = [postgres.create_database() for _ in range(2)]
        for url in urls:
            request.addfinalizer(partial(postgres.drop_database, url))
        source, target = (ServiceDatabase(service="delivery", url=url) for url in urls)
        places = replace(hub, databases={**hub.databases, "delivery": source})
    migrated(places.databases["delivery"], earlier)
    letters = [
        text("INSERT INTO case_letters (referral_id, organization, sealed_case) VALUES (:id, 'kg.osh', 'x')")
        .bindparams(id=id_)
        for id_ in (OPEN, ERASED)
    ]  # fmt: skip
    _write(places, "delivery", letters)
    take_backup(places, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _erase(hub, ERASED)
    _destroy(hub)
    restored = replace(hub, databases={**hub.databases, "delivery": target})
    assert _restore(restored, tmp_path / "backup").erased == (ERASED,)
    assert _letters(restored) == {OPEN: "x", ERASED: None}
    assert revision_of(target).state == "current"


def test_backup_of_a_newer_build_is_refused(hub: HubPlaces, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    take_backup(hub, backup, wait=0, look=quiet, sleep=still)
    _destroy(hub)
    record = json.loads((backup / RECORD).read_text())
    record["revisions"]["routing"] = "ffffffffffff"
    (backup / RECORD).write_text(json.dumps(record))
    with pytest.raises(RestoreRefused, match="the copies of routing come from a newer build"):
        _restore(hub, backup)
    assert not (tmp_path / "data").exists()


def test_damaged_or_incomplete_backup_is_refused(hub: HubPlaces, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    take_backup(hub, backup, wait=0, look=quiet, sleep=still)
    _destroy(hub)
    copy = backup / "databases" / "vault.sqlite"
    content = copy.read_bytes()
    copy.write_bytes(content[:-1] + b"x")
    with pytest.raises(InvalidArgumentError, match=r"is damaged: databases/vault\.sqlite"):
        _restore(hub, backup)
    copy.write_bytes(content)
    with pytest.raises(RestoreRefused, match="belongs to the hub kg, not to ru"):
        _restore(replace(hub, hub="ru"), backup)
    (backup / RECORD).unlink()
    with pytest.raises(InvalidArgumentError, match="contains no complete backup"):
        _restore(hub, backup)
    assert not (tmp_path / "data").exists()


def test_databases_in_use_are_never_overwritten(hub: HubPlaces, tmp_path: Path) -> None:
    take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    with pytest.raises(RestoreRefused, match=r"the databases of intake, .* are not empty"):
        _restore(hub, tmp_path / "backup")
    with pytest.raises(InvalidArgumentError, match="a backup goes into a new directory"):
        take_backup(hub, tmp_path / "backup", wait=0, look=quiet, sleep=still)


def test_copies_made_while_a_message_crossed_are_discarded(hub: HubPlaces, tmp_path: Path) -> None:
    marks = iter(range(100))

    def busy(_: HubPlaces) -> HubMark:
        return HubMark(services={"intake": ServiceMark(sent=next(marks), waiting=0, received=0)}, queues={})

    with pytest.raises(NeverQuiet, match="messages of intake"):
        take_backup(hub, tmp_path / "backup", wait=0, look=busy, sleep=still)
    assert not (tmp_path / "backup").exists()

    looks = iter([0, 0, 1, 1, 1, 1])  # a message crosses during the first copies

    def once(_: HubPlaces) -> HubMark:
        return HubMark(services={"intake": ServiceMark(sent=next(looks), waiting=0, received=0)}, queues={})

    take_backup(hub, tmp_path / "backup", wait=60, look=once, sleep=still)
    assert next(looks, None) is None


def test_postgresql_is_dumped_and_restored(
    hub: HubPlaces, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = postgres_programs.installed()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    url, empty = postgres.create_database(), postgres.create_database()
    place = ServiceDatabase(service="audit", url=url)
    migrated(place, None)
    places = replace(hub, databases={**hub.databases, "audit": place})
    database = Database.open(url)
    with database.write() as transaction:
        head = load_log_key(hub.log_key, "kg").sign(Frontier(), Chronology(), NOW)
        SqlLog().initialize(transaction, head)
    database.close()
    take_backup(places, tmp_path / "backup", wait=0, look=quiet, sleep=still)
    _destroy(hub)
    restored = replace(hub, databases={**hub.databases, "audit": ServiceDatabase(service="audit", url=empty)})
    _restore(restored, tmp_path / "backup")
    database = Database.open(empty)
    with database.read() as transaction:
        assert transaction.execute(select(HEAD.c.checkpoint)).scalar_one() == head.checkpoint
    database.close()
    for one in (url, empty):
        postgres.drop_database(one)
