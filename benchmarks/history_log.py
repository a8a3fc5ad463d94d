"""The log of a history: entries, tree, head and published tiles, as after a year of appending.

The log already contains entries about the directory's changes. They come first, dated back to before the
history: a log whose entries jump back by a year would be slow to search by time, which is unrealistic.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Table, delete, select, update

from benchmarks.bulk import Bulk, Row
from benchmarks.recording import REFERRAL_KEY, EntryTemplate
from contracts.canonical import canonical_json
from contracts.commitment import SALT_BYTES
from runtime.storage.database import Database
from services.audit.adapters.tables import ENTRIES, FACETS, NODES, OPENINGS, ORGANIZATIONS
from services.audit.log.adapters.signing_key import load_log_key
from services.audit.log.adapters.sql_checks import SqlCheckRecord
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.entry import (
    Entry,
    head_json,
    organizations_of,
)
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.leaf import (
    TAG_BYTES,
    data_commitment,
    fields_of,
    key_commitment,
    leaf_bytes,
    minute_of,
    referral_key,
)
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.merkle import Row as Nodes
from services.audit.log.domain.prefix import Prefix
from services.audit.log.domain.tiles import ENTRIES as BUNDLES
from services.audit.log.domain.tiles import HEIGHT, WIDTH, Tile, bundle
from services.audit.log.handlers.published_log import CHECKPOINT
from services.audit.log.ports import NewEntry, VerifiedPrefix
from services.directory.adapters.tables import REVISIONS, SEALING_KEYS

# The batch size of a busy service; the tree's nodes are stored by batch.
BATCH: Final = 200
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_STANDING = (
    select(ENTRIES, OPENINGS.c.salt, OPENINGS.c.data)
    .join(OPENINGS, OPENINGS.c.leaf_index == ENTRIES.c.leaf_index)
    .order_by(ENTRIES.c.leaf_index)
)


class LogWriter:
    """Writes the log: `initialize`, then any number of `take` and `flush`, then `conclude`.

    Only the bulk insert may use the database between the first and the last call.
    """

    def __init__(self, url: str, directory: Path, key: Path, hub: str) -> None:
        """directory: of the published log. key: the file with the signing key."""
        self._url = url
        self._directory = directory
        self._key = load_log_key(key, hub)
        self._log = SqlLog()
        self._frontier = Frontier()
        self._chronology = Chronology()
        self._tiles = _Tiles(directory)
        # (order, time, message id, referral id, leaf, head, salt, data, template)
        self._waiting: list[tuple[int, int, str, str, bytes, bytes, bytes, str, EntryTemplate]] = []
        self._secret = b""

    def initialize(self, begin: int) -> dt.timedelta:
        """Move the existing entries to before `begin`, and remove the published tiles to write them again.

        Return by how much they are earlier than they were.
        """
        for found in self._directory.iterdir():
            shutil.rmtree(found) if found.is_dir() else found.unlink()
        database = Database.open(self._url)
        try:
            with database.write() as transaction:
                self._secret = self._log.tag_secret(transaction)
                rows = transaction.execute(_STANDING).all()
                for table in (ENTRIES, OPENINGS, ORGANIZATIONS, FACETS, NODES):
                    transaction.execute(delete(table))
                earlier: dt.timedelta = max(row.time for row in rows) - (_EPOCH + begin * _MICROSECOND)
                entries = self._dated(rows, earlier)
                self._log.add(transaction, entries, self._grow([new.leaf for new in entries]))
        finally:
            database.close()
        return earlier

    def take(self, entries: Sequence[EntryTemplate], values: list[Any], chance: random.Random) -> None:
        """Add the entries of one instance of a loop."""
        for entry in entries:
            salt = chance.randbytes(SALT_BYTES)
            key = referral_key(self._secret, values[entry.referral_id])
            said = values[entry.head].replace(REFERRAL_KEY, key_commitment(key), 1).encode()
            head = chance.randbytes(SALT_BYTES) + said
            leaf = leaf_bytes(
                head=head,
                data_commitment=data_commitment(values[entry.canonical], salt),
                minute=minute_of(_EPOCH + values[entry.time] * _MICROSECOND),
                key=key,
                filler=b"",
            )
            self._waiting.append(
                (
                    values[entry.order],
                    values[entry.time],
                    values[entry.message_id],
                    values[entry.referral_id],
                    leaf,
                    head,
                    salt,
                    values[entry.data],
                    entry,
                )
            )

    def flush(self, into: Bulk, until: int) -> None:
        """Append the entries before `until`. Later calls of `take` must not add earlier ones."""
        self._waiting.sort(key=lambda waiting: waiting[0])
        ready = 0
        while ready < len(self._waiting) and self._waiting[ready][0] < until:
            ready += 1
        rows: dict[Table, list[Row]] = defaultdict(list)
        for at in range(0, ready, BATCH):
            self._append(rows, self._waiting[at : min(at + BATCH, ready)])
        for table, some in rows.items():
            into.add(table, some)
        del self._waiting[:ready]

    def conclude(self) -> None:
        """Sign the log, publish the last tiles and the checkpoint, and mark all receipts as sent.

        The whole log counts as verified, like all but the newest entries of a real log.
        """
        assert not self._waiting
        self._tiles.end()
        head = self._key.sign(self._frontier, self._chronology, dt.datetime.now(dt.UTC))
        record, checks = SqlPublicationRecord(), SqlCheckRecord()
        read = VerifiedPrefix(prefix=Prefix.of(head), time=head.signed_at)
        database = Database.open(self._url)
        try:
            with database.write() as transaction:
                old = self._log.head(transaction)
                assert old is not None
                self._log.advance(transaction, head, from_size=old.size)
                record.advance(transaction, head.size, from_size=record.processed_size(transaction))
                checks.keep_checked(transaction, read)
                checks.forget_round(transaction)
        finally:
            database.close()
        (self._directory / CHECKPOINT).write_bytes(head.checkpoint)

    def _append(self, rows: dict[Table, list[Row]], batch: Sequence[tuple[Any, ...]]) -> None:
        first = self._frontier.size
        for index, (_, time, message_id, referral_id, leaf, head, salt, data, entry) in enumerate(
            batch, first
        ):
            self._chronology = self._chronology.after(_EPOCH + time * _MICROSECOND)
            latest = (self._chronology.latest - _EPOCH) // _MICROSECOND  # type: ignore[operator]
            rows[ENTRIES].append((index, leaf, message_id, entry.type, time, latest, referral_id, head))
            rows[OPENINGS].append((index, salt, data))
            rows[ORGANIZATIONS] += [(organization, index) for organization in entry.organizations]
            rows[FACETS] += [(facet, value, index) for facet, value in entry.facets]
        nodes = self._grow([leaf for _, _, _, _, leaf, *_ in batch])
        rows[NODES] += [(node.level, node.first, b"".join(node.hashes)) for node in nodes]

    def _grow(self, leaves: Sequence[bytes]) -> Sequence[Nodes]:
        self._frontier, rows = self._frontier.grow([leaf_hash(leaf) for leaf in leaves])
        self._tiles.take(leaves, rows)
        return rows

    def _dated(self, rows: Sequence[Any], earlier: dt.timedelta) -> list[NewEntry]:
        entries = []
        for index, row in enumerate(rows):
            said = fields_of(row.leaf, row.head)
            committed = said.pop("commitment")
            # Only the time changes: content and commitment stay.
            entry = Entry(**{**said, "time": row.time - earlier})
            key = None if entry.referral_id is None else referral_key(self._secret, entry.referral_id)
            committed_key = None if key is None else key_commitment(key)
            head = os.urandom(SALT_BYTES) + head_json(entry, committed_key)
            self._chronology = self._chronology.after(entry.time)
            entries.append(
                NewEntry(
                    index=index,
                    entry=entry,
                    leaf=leaf_bytes(
                        head=head,
                        data_commitment=committed,
                        minute=minute_of(entry.time),
                        key=key,
                        filler=os.urandom(TAG_BYTES),
                    ),
                    head=head,
                    latest=self._chronology.latest or entry.time,
                    organizations=organizations_of(row.data),
                    facets=facets_of(row.type, entry.actor, row.data),
                    salt=row.salt,
                    content=canonical_json(row.data),
                )
            )
        return entries


def date_revisions_back(url: str, earlier: dt.timedelta) -> None:
    """Move the directory's revisions, and the sealing keys that they have, as their entries were moved.

    url: of the directory's database.
    """
    database = Database.open(url)
    try:
        with database.write() as transaction:
            for time in (REVISIONS.c.changed_at, SEALING_KEYS.c.since):
                table = time.table
                for row in transaction.execute(select(table)).all():
                    this = [column == getattr(row, column.name) for column in table.primary_key]
                    moved = {time: getattr(row, time.name) - earlier}
                    transaction.execute(update(table).where(*this).values(moved))
    finally:
        database.close()


class _Tiles:
    """Writes each tile once, when it is full or at the end."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bundle: list[bytes] = []
        self._hashes: dict[int, list[bytes]] = defaultdict(list)
        self._written: dict[int, int] = defaultdict(int)

    def take(self, leaves: Sequence[bytes], rows: Sequence[Nodes]) -> None:
        self._bundle += leaves
        while len(self._bundle) >= WIDTH:
            self._write(BUNDLES, bundle(self._bundle[:WIDTH]), WIDTH)
            del self._bundle[:WIDTH]
        for row in rows:
            level, between = divmod(row.level, HEIGHT)
            if not between:
                line = self._hashes[level]
                line += row.hashes
                while len(line) >= WIDTH:
                    self._write(level, b"".join(line[:WIDTH]), WIDTH)
                    del line[:WIDTH]

    def end(self) -> None:
        if self._bundle:
            self._write(BUNDLES, bundle(self._bundle), len(self._bundle))
        for level, line in self._hashes.items():
            if line:
                self._write(level, b"".join(line), len(line))

    def _write(self, level: int, content: bytes, width: int) -> None:
        path = self._directory / Tile(level=level, index=self._written[level], width=width).path
        if self._written[level] % 1000 == 0 or width < WIDTH:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._written[level] += 1
