"""The schema of the audit log's database.

`head` and `entries` are the log: everything else can be computed from them again, but for `openings`,
which may be erased row by row without a proof becoming wrong.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from runtime.messaging.tables import messaging_tables, replica_table
from runtime.storage.columns import Instant, Json, RowNumber

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)

# One row, number 1, replaced with every batch by a compare-and-swap on its size.
HEAD = Table(
    "head",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", RowNumber, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("latest", Instant),
    Column("lateness", RowNumber, nullable=False),  # microseconds
    Column("checkpoint", LargeBinary, nullable=False),
    Column("signed_at", Instant, nullable=False),
)

# What is shown of an entry is read from its leaf, whose hash is in the tree; the other columns only find it.
ENTRIES = Table(
    "entries",
    METADATA,
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", Instant, nullable=False),
    # The latest time up to here. It never falls, so that a span of time is a span of indices.
    Column("latest", Instant, nullable=False),
    Column("referral_id", Text),
    Index("entries_message_id", "message_id", unique=True),
    Index("entries_type", "type", "leaf_index"),
    Index("entries_latest", "latest", "leaf_index"),
    Index("entries_referral_id", "referral_id", "leaf_index"),
)

# By whom an entry is found: the sender and the receiver, though the leaf names one of them.
ORGANIZATIONS = Table(
    "organizations",
    METADATA,
    Column("organization", Text, primary_key=True),
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# What opens a leaf's commitment: the salt, and the event's data.
OPENINGS = Table(
    "openings",
    METADATA,
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("data", Json, nullable=False),
)

# By what else an entry is found: see `domain.facets`. Erased with the opening.
FACETS = Table(
    "facets",
    METADATA,
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    # What has to be erased is found by its entry.
    Index("facets_leaf_index", "leaf_index"),
    sqlite_with_rowid=False,
)

# Referrals that came to an end, for the retention of their openings. `pending` while something of theirs
# may have to be erased; of revoked consent at once, of the others so long after `closed_at`.
CLOSURES = Table(
    "closures",
    METADATA,
    Column("referral_id", Text, primary_key=True),
    Column("closed_at", Instant, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("pending", Boolean, nullable=False),
    Index("closures_due", "pending", "revoked", "closed_at"),
)

# Neighbouring nodes of one level that one batch completed, level 0 included: 32 bytes each, side by side.
NODES = Table(
    "nodes",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("first", RowNumber, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# One row, number 1: for how many entries all that follows from their publication has been done.
PUBLICATION = Table(
    "publication",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", RowNumber, nullable=False),
)

# The last word of each witness. `signature` is what follows the key id in a note's line.
WITNESSES = Table(
    "witnesses",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("size", RowNumber, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("time", Instant, nullable=False),
)

# What earlier checks of the log have read: `checked`, and `round`. Believed only as far as it can be proved.
CHECKS = Table(
    "checks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("frontier", LargeBinary, nullable=False),
    Column("latest", Instant),
    Column("lateness", RowNumber, nullable=False),  # microseconds
    Column("time", Instant, nullable=False),
)

# One row, number 1: the entries below `stop` and not below `start` were appended before there were facets.
UNFILED = Table(
    "unfiled",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("start", RowNumber, nullable=False),
    Column("stop", RowNumber, nullable=False),
)
