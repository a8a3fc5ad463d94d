"""The vault's own keys, in a SQLite file apart from its database, where deletion destroys them.

The file holds a key for each case in custody and the private halves of the transit keys. It has no archived
write-ahead log, and no backup of it may outlive a key. Without these keys, the custody key opens no copy of
the database, of its write-ahead log or of the broker's disk.

Deletion: SQLite overwrites the key with zeros (`secure_delete`), and `truncate` empties the journal. No
software can promise more: a solid-state disk and a copying file system (snapshots, btrfs, ZFS) may keep the
earlier blocks for some time. Use an encrypted disk and take no snapshots of this file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path

from sqlalchemy import Column, LargeBinary, MetaData, String, Table

from runtime.storage.columns import Instant, microseconds
from runtime.storage.database import Database, sqlite_url
from runtime.storage.sql_statement import SqlStatement
from services.vault.ports import KeyKind

_METADATA = MetaData()
KEYS = {
    kind: Table(
        f"{kind}_keys",
        _METADATA,
        Column("id", String(100), primary_key=True),
        Column("secret", LargeBinary, nullable=False),
        Column("made_at", Instant, nullable=False),
    )
    for kind in KeyKind
}


def _for_each_kind(sql: str) -> dict[KeyKind, SqlStatement]:
    return {kind: SqlStatement(sql.replace("KIND", kind)) for kind in KeyKind}


_ADD = _for_each_kind("INSERT INTO KIND_keys (id, secret, made_at) VALUES (?, ?, ?)")
_GET = _for_each_kind("SELECT id, secret FROM KIND_keys WHERE id = ANY (?)")
_IDS = _for_each_kind("SELECT id FROM KIND_keys WHERE made_at < ? ORDER BY id")
_DESTROY = _for_each_kind("DELETE FROM KIND_keys WHERE id = ANY (?)")


class SqliteKeyStore:
    """See `ports.KeyStore`."""

    def __init__(self, file: Path) -> None:
        """file: gets the mode 0600, even if it exists. Raises DatabaseUnavailable and OSError."""
        self.is_new = not file.exists()
        if not self.is_new:
            file.chmod(0o600)
        self._database = Database.open(sqlite_url(file.absolute()), pool_size=2)
        with self._database.write() as transaction:
            _METADATA.create_all(transaction)

    def add(self, kind: KeyKind, keys: Mapping[str, bytes], now: dt.datetime) -> None:
        """See `ports.KeyStore`."""
        at = microseconds(now)
        with self._database.write() as transaction:
            _ADD[kind].run_for_each(transaction, [(id_, secret, at) for id_, secret in keys.items()])

    def get(self, kind: KeyKind, ids: Collection[str]) -> dict[str, bytes]:
        """See `ports.KeyStore`."""
        with self._database.read() as transaction:
            return {row[0]: bytes(row[1]) for row in _GET[kind].run(transaction, sorted(ids))}

    def made_before(self, kind: KeyKind, moment: dt.datetime) -> list[str]:
        """See `ports.KeyStore`."""
        with self._database.read() as transaction:
            return [id_ for (id_,) in _IDS[kind].run(transaction, microseconds(moment))]

    def destroy(self, kind: KeyKind, ids: Collection[str]) -> None:
        """See `ports.KeyStore`."""
        with self._database.write() as transaction:
            _DESTROY[kind].run(transaction, sorted(ids))

    def truncate(self) -> bool:
        """See `ports.KeyStore`."""
        return self._database.checkpoint_wal()

    def close(self) -> None:
        """Close the file."""
        self._database.close()
