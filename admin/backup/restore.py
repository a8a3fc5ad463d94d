"""Restores a backup into an empty hub, without forking its log and without erased cases.

Everything is checked before anything is written. SQLite files are complete or absent, and PostgreSQL restores
in one transaction, with what is erased again; a restore after an interrupted one refuses the databases that
are filled, and names them.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select

from admin.backup.backup_record import DATABASES, LOG, BackupRecord, read_record
from admin.backup.database_copies import copy_name, is_empty, restore_database
from admin.backup.hub_places import HubPlaces
from admin.backup.take import newest_key
from admin.private_files import give_to_owner_of
from admin.read_only_engine import open_read_only
from admin.schema_revisions import migrated, opened_database
from contracts.errors import Defect
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import sqlite_url
from runtime.storage.durable_names import sync_tree
from runtime.storage.migrate import known_revisions, upgrade_within
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.head import LogKey
from services.audit.log.domain.merkle import root_at
from services.audit.log.domain.note import NoteError
from services.audit.log.handlers.published_log import CHECKPOINT, COSIGNED
from services.delivery.adapters.closings import SqlClosings
from services.delivery.adapters.released_cases import SqlReleasedCases
from services.delivery.domain.closing import End
from services.vault.adapters.tables import SEALED_CASES

# The reason in `MessageClosed` for the content of these referrals: the least specific one, because their ends
# are unknown.
_REASON: Final = "withdrawn"


class RestoreRefused(Exception):
    """Raised when a restore would fork the log, or cannot keep erased cases closed; nothing was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """erased: referrals whose cases were erased after the backup; their content was erased again."""

    record: BackupRecord
    erased: tuple[str, ...]


def restore_backup(
    places: HubPlaces,
    source: Path,
    *,
    checkpoints: Sequence[Path],
    without_vault_keys: bool,
    now: dt.datetime,
) -> Restored:
    """Restore the backup in the directory `source`.

    checkpoints: the newest checkpoints that anybody has of this log: from witnesses, mirrors or auditors.
    without_vault_keys: the vault's file of keys is lost, so every case in custody is. Raises RestoreRefused,
    InvalidArgumentError.
    """
    record = read_record(source)
    if record.hub != places.hub:
        raise RestoreRefused(f"the backup belongs to the hub {record.hub}, not to {places.hub}")
    filled = [name for name, place in places.databases.items() if not is_empty(place)]
    if filled:
        raise RestoreRefused(
            f"the databases of {', '.join(filled)} are not empty: stop the services, and move these away or "
            "drop them, also after an interrupted restore"
        )
    _check_revisions(places, record)
    published = _published(places, source, checkpoints)
    _check_sizes(published, record)
    copies = {name: source / DATABASES / copy_name(place) for name, place in places.databases.items()}
    if copies["audit"].suffix == ".sqlite":
        with closing(open_read_only(sqlite_url(copies["audit"].absolute())).connect()) as connection:
            _check_roots(published, connection)
    _check_vault_keys(places, record, without_vault_keys=without_vault_keys)
    restore_database(places.databases["audit"], copies["audit"])
    if copies["audit"].suffix != ".sqlite":
        # A dump has no tree to compare before it is restored.
        with opened_database(places.databases["audit"]) as database, database.read() as connection:
            _check_roots(published, connection)
    for name in ("vault", "directory", "routing", "intake"):
        restore_database(places.databases[name], copies[name])
    migrated(places.databases["vault"], None)  # the next steps read it with the statements of this build
    _restore_log(places.log, source / LOG)
    if without_vault_keys and not places.vault_keys.exists():
        os.close(os.open(places.vault_keys, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        give_to_owner_of(places.vault_keys, places.vault_keys.parent)
    erased = closed_referrals(places)
    # Last, so that an interrupted restore leaves no hub that could start with erased cases.
    restore_database(
        places.databases["delivery"],
        copies["delivery"],
        before=partial(_erase_again, erased, now) if erased else None,
    )
    return Restored(record=record, erased=erased)


def closed_referrals(places: HubPlaces) -> tuple[str, ...]:
    """Return the referrals with a case in the vault's database whose key the vault's file does not have."""
    with opened_database(places.databases["vault"]) as database, database.read() as transaction:
        stored = transaction.execute(
            select(SEALED_CASES.c.referral_id, SEALED_CASES.c.key_id).where(
                SEALED_CASES.c.key_id.is_not(None)
            )
        ).all()
    present = _key_ids(places.vault_keys)
    return tuple(sorted(referral_id for referral_id, key_id in stored if key_id not in present))


def _erase_again(referrals: Sequence[str], now: dt.datetime, transaction: Connection) -> None:
    upgrade_within("services.delivery", transaction)  # the statements are those of this build
    end, closings = End(reason=_REASON, at=now), SqlClosings()
    messages = closings.open_messages(transaction, referrals)
    closings.close(transaction, {message.sequence: end for message in messages})
    SqlReleasedCases().close(transaction, dict.fromkeys(referrals, end))


def _published(places: HubPlaces, source: Path, checkpoints: Sequence[Path]) -> dict[Path, Checkpoint]:
    """Return the known checkpoints by file: those given, of the log that survived, and of the backup."""
    try:
        key = load_log_key(places.log_key, places.hub)
    except Defect:
        raise InvalidArgumentError(f"{places.log_key} is not the log's private key") from None
    files = [
        directory / name
        for directory in (places.log, source / LOG)
        for name in (CHECKPOINT, COSIGNED)
        if (directory / name).is_file()
    ]
    return {file: _checkpoint(file, key) for file in (*checkpoints, *files)}


def _check_revisions(places: HubPlaces, record: BackupRecord) -> None:
    newer = [
        name
        for name, place in places.databases.items()
        if record.revisions.get(name) not in (None, *known_revisions(place.package))
    ]
    if newer:
        raise RestoreRefused(
            f"the copies of {', '.join(newer)} come from a newer build: "
            "use the build that made the backup, or a newer one"
        )


def _check_sizes(published: Mapping[Path, Checkpoint], record: BackupRecord) -> None:
    for file, checkpoint in published.items():
        if checkpoint.size > record.log_size:
            raise RestoreRefused(
                f"the backup has {record.log_size} entries of the log, but {file} proves that "
                f"{checkpoint.size} were published: a log that continues from the backup would be a fork. "
                "Restore a newer backup"
            )


def _check_roots(published: Mapping[Path, Checkpoint], audit: Connection) -> None:
    """Check that each checkpoint belongs to the tree in audit's database, or in a copy of it."""
    nodes = SqlLog().nodes(audit)
    for file, checkpoint in published.items():
        try:
            continues = root_at(checkpoint.size, nodes) == checkpoint.root
        except Defect:  # a node is missing
            continues = False
        if not continues:
            raise RestoreRefused(f"{file} has another history than the log in the backup")


def _checkpoint(file: Path, key: LogKey) -> Checkpoint:
    try:
        return key.read(file.read_bytes())
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from None
    except NoteError:
        raise InvalidArgumentError(f"{file} is not a checkpoint that this log's key signed") from None


def _check_vault_keys(places: HubPlaces, record: BackupRecord, *, without_vault_keys: bool) -> None:
    if without_vault_keys:
        if places.vault_keys.exists() and places.vault_keys.stat().st_size:
            raise RestoreRefused(
                f"{places.vault_keys} exists: omit --without-vault-keys, or move the file away"
            )
        return
    if record.newest_vault_key is None:
        return
    newest = newest_key(places.vault_keys)
    if newest is None:
        raise RestoreRefused(
            f"the vault's keys are not in {places.vault_keys}: put the surviving file or its mirror there. "
            "If it is lost, --without-vault-keys gives up every case in custody"
        )
    if newest < record.newest_vault_key:
        raise RestoreRefused(
            f"{places.vault_keys} is older than the backup: an old copy has the keys of cases that were "
            "erased since. Use the surviving file or its mirror"
        )


def _key_ids(file: Path) -> set[str]:
    if not file.is_file() or not file.stat().st_size:
        return set()
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return {id_ for (id_,) in connection.execute("SELECT id FROM case_keys")}


def _restore_log(directory: Path, copy: Path) -> None:
    """Add the tiles and checkpoints of the copy to the published log; surviving files are the same or fewer.

    Its files belong to the owner of the log, or of the nearest directory above it that exists: root restores
    for audit's account.
    """
    if not copy.is_dir():
        return
    owner = next(place for place in (directory, *directory.parents) if place.exists())
    shutil.copytree(copy, directory, dirs_exist_ok=True)
    for path in (directory, *directory.rglob("*")):
        give_to_owner_of(path, owner)
    sync_tree(directory)
