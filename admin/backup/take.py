"""Takes a backup: copies of one quiet moment. See `quiet` for why that moment is consistent.

The order inside the moment: the published log, then the databases with audit's last, so that audit's copy is
never older than the published log beside it. The vault's own keys are not copied (ADR 0049).
"""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, inspect, select

from admin.backup.backup_record import DATABASES, LOG, RECORD, BackupRecord, digests
from admin.backup.database_copies import copy_database
from admin.backup.hub_places import HubPlaces
from admin.backup.quiet import SETTLE_SECONDS, HubMark, ServiceMark, in_transit, moved
from admin.broker_queues import queue_counts
from admin.hub_databases import ServiceDatabase
from admin.private_files import make_private, write_private
from admin.schema_revisions import opened_database, revision_of
from contracts.topology import DEAD_LETTER_SUFFIX, hub_topology
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.durable_names import sync_directory, sync_tree
from services.audit.adapters.tables import HEAD
from services.audit.log.handlers.published_log import CHECKPOINT, COSIGNED
from services.intake.adapters.tables import MESSAGING

# The other services', then audit's.
_ORDER = ("intake", "routing", "delivery", "directory", "vault", "audit")
_QUEUES = tuple(queue.name for queue in hub_topology().queues)


class NeverQuiet(Exception):
    """Raised when the hub was not quiet in time; the text names the messages in transit."""


def take_backup(
    places: HubPlaces,
    target: Path,
    *,
    wait: float,
    look: Callable[[HubPlaces], HubMark] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> BackupRecord:
    """Write a backup into the new directory `target` and return its record.

    wait: seconds until the hub has to be quiet. When this returns, the whole backup survives a crash of the
    machine. Raises NeverQuiet and InvalidArgumentError; `target` does not exist then.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidArgumentError(f"{target} exists: a backup goes into a new directory")
    look = look or mark_of
    deadline = time.monotonic() + wait
    make_private(target)
    try:
        while True:
            reason, log_size = _attempt(places, target, look, sleep)
            if reason is None:
                break
            if time.monotonic() > deadline:
                raise NeverQuiet(reason)
            sleep(0.5)
        record = BackupRecord(
            hub=places.hub,
            at=dt.datetime.now(dt.UTC),
            revisions={name: revision_of(place).current for name, place in places.databases.items()},
            log_size=log_size,
            newest_vault_key=newest_key(places.vault_keys),
            files=digests(target),
        )
        sync_tree(target)
        sync_directory(target.parent)
        write_private(target / RECORD, record.text())
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return record


def mark_of(places: HubPlaces) -> HubMark:
    """Look at the databases and the broker. Raises InvalidArgumentError."""
    counts = queue_counts(places.broker, [name for name in _QUEUES if not name.endswith(DEAD_LETTER_SUFFIX)])
    return HubMark(
        services={name: _service_mark(place) for name, place in places.databases.items()}, queues=counts
    )


def dead_letters(places: HubPlaces) -> int:
    """Return the number of dead letters at the broker, which no backup contains."""
    parked = [name for name in _QUEUES if name.endswith(DEAD_LETTER_SUFFIX)]
    return sum(queue_counts(places.broker, parked).values())


def newest_key(file: Path) -> int | None:
    """Return when the newest transit key in the vault's file was made, in microseconds, or None.

    Case keys do not count: an erasure destroys them, newest or not. The newest transit key is never destroyed
    before a newer one is in use. Raises InvalidArgumentError for a file that is not a key store.
    """
    if not file.is_file() or not file.stat().st_size:
        return None
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            made: int | None = connection.execute("SELECT MAX(made_at) FROM transit_keys").fetchone()[0]
    except sqlite3.Error as error:
        raise InvalidArgumentError(f"{file} is not the vault's file of keys: {error}") from None
    return made


def _attempt(
    places: HubPlaces, target: Path, look: Callable[[HubPlaces], HubMark], sleep: Callable[[float], None]
) -> tuple[str | None, int]:
    """Copy everything; return the messages in transit, or None, and `_copy`'s size of the log."""
    first = look(places)
    if transit := in_transit(first):
        return ", ".join(transit), 0
    sleep(SETTLE_SECONDS)
    before = look(places)
    if reason := _motion(first, before):
        return reason, 0
    log_size = _copy(places, target)
    return _motion(before, look(places)), log_size


def _motion(before: HubMark, after: HubMark) -> str | None:
    if transit := in_transit(after):
        return ", ".join(transit)
    if busy := moved(before, after):
        return f"messages of {', '.join(busy)}"
    return None


def _copy(places: HubPlaces, target: Path) -> int:
    """Copy the log and the databases; return the number of entries that audit's copy has at least."""
    shutil.rmtree(target / LOG, ignore_errors=True)
    if places.log.is_dir():
        # The checkpoint first: tiles that are published meanwhile are then more than it needs, never fewer.
        names = (CHECKPOINT, COSIGNED)
        kept = {name: (places.log / name).read_bytes() for name in names if (places.log / name).is_file()}
        shutil.copytree(places.log, target / LOG, ignore=shutil.ignore_patterns(*names, ".incoming"))
        for name, content in kept.items():
            (target / LOG / name).write_bytes(content)
            shutil.copymode(places.log / name, target / LOG / name)
    # After the published log and before audit's database, because cover entries never stop.
    log_size = _log_size(places.databases["audit"])
    make_private(target / DATABASES)
    for service in _ORDER:
        copy_database(places.databases[service], target / DATABASES)
    return log_size


def _service_mark(place: ServiceDatabase) -> ServiceMark:
    outbox, inbox = MESSAGING.outbox, MESSAGING.inbox  # the same tables in every service
    with opened_database(place) as database, database.read() as transaction:
        if not inspect(transaction).has_table(outbox.name):
            raise InvalidArgumentError(f"the database of {place.service} is not migrated")
        waiting = transaction.execute(select(func.count()).select_from(outbox)).scalar_one()
        received = transaction.execute(select(func.count()).select_from(inbox)).scalar_one()
        if transaction.dialect.name == "sqlite":
            query = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"
        else:
            query = "SELECT last_value FROM outbox_number_seq"
        sent = transaction.exec_driver_sql(query).scalar()
    return ServiceMark(sent=sent or 0, waiting=waiting, received=received)


def _log_size(place: ServiceDatabase) -> int:
    with opened_database(place) as database, database.read() as transaction:
        return transaction.execute(select(HEAD.c.size)).scalar() or 0
