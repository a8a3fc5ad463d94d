"""The log of a history: entries, tree, head and published tiles, as after a year of appending.

The log already contains entries about the directory's changes. They come first, dated back to before the
history: a log whose entries jump back by a year would be slow to search by time, which is unrealistic.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Table, delete, select

from benchmarks.bulk import Bulk, Row
from benchmarks.recording import COMMITMENT, EntryTemplate
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
    leaf_bytes,
    organizations_of,
)
from services.audit.log.domain.facets import facets_of
from services.audit.log.domain.merkle import Frontier, leaf_hash
from services.audit.log.domain.merkle import Row as Nodes
from services.audit.log.domain.prefix import Prefix
from services.audit.log.domain.tiles import ENTRIES as BUNDLES
from services.audit.log.domain.tiles import HEIGHT, WIDTH, Tile, bundle
from services.audit.log.handlers.published_log import CHECKPOINT
from services.audit.log.ports import NewEntry, VerifiedPrefix

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
        # (order, time, message id, referral id, leaf, salt, data, template)
        self._waiting: list[tuple[int, int, str, str, bytes, bytes, str, EntryTemplate]] = []
        self._leaves: list[bytes] = []

    def initialize(self, begin: int) -> None:
        """Move the existing entries to before `begin`, and remove the published tiles to write them again."""
        for found in self._directory.iterdir():
            shutil.rmtree(found) if found.is_dir() else found.unlink()
        database = Database.open(self._url)
        try:
            with database.write() as transaction:
                rows = transaction.execute(_STANDING).all()
                for table in (ENTRIES, OPENINGS, ORGANIZATIONS, FACETS, NODES):
                    transaction.execute(delete(table))
                earlier = max(row.time for row in rows) - (_EPOCH + begin * _MICROSECOND)
                entries = self._dated(rows, earlier)
                self._log.add(transaction, entries, self._grow([new.leaf for new in entries]))
        finally:
            database.close()

    def take(self, entries: Sequence[EntryTemplate], values: list[Any], chance: random.Random) -> None:
        """Add the entries of one instance of a loop."""
        for entry in entries:
            salt = chance.randbytes(SALT_BYTES)
            commitment = sha256(salt + values[entry.canonical]).hexdigest()
            self._waiting.append(
                (
                    values[entry.order],
                    values[entry.time],
                    values[entry.message_id],
                    values[entry.referral_id],
                    values[entry.leaf].replace(COMMITMENT, commitment, 1).encode(),
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
        for index, (_, time, message_id, referral_id, leaf, salt, data, entry) in enumerate(batch, first):
            self._chronology = self._chronology.after(_EPOCH + time * _MICROSECOND)
            latest = (self._chronology.latest - _EPOCH) // _MICROSECOND  # type: ignore[operator]
            rows[ENTRIES].append((index, leaf, message_id, entry.type, time, latest, referral_id))
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
            leaf_members = orjson.loads(row.leaf)
            # Only the time changes: content and commitment stay.
            entry = Entry(**{**leaf_members, "time": row.time - earlier})
            self._chronology = self._chronology.after(entry.time)
            entries.append(
                NewEntry(
                    index=index,
                    entry=entry,
                    leaf=leaf_bytes(entry),
                    latest=self._chronology.latest or entry.time,
                    organizations=organizations_of(row.data),
                    facets=facets_of(row.type, leaf_members["actor"], row.data),
                    salt=row.salt,
                    content=canonical_json(row.data),
                )
            )
        return entries


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
