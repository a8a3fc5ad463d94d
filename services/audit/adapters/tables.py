"""The schema of the audit log's database.

`head` and `entries` are the log. Everything else can be computed again from them, except `openings`: its rows
may be erased one by one without invalidating a proof.
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

# The API shows an entry from its head, or its leaf: the tree has the leaf's hash, and the leaf commits to the
# head. The other columns only serve to find it.
ENTRIES = Table(
    "entries",
    METADATA,
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", Instant, nullable=False),
    # The latest time up to this entry. It never decreases, so a time range maps to an index range.
    Column("latest", Instant, nullable=False),
    Column("referral_id", Text),
    # The salt and the head that the leaf commits to. NULL for leaves of formats 1 and 2, which hold the head.
    Column("head", LargeBinary),
    # Not unique: two services may use one id, and their events are two.
    Index("entries_message_id", "message_id"),
    Index("entries_type", "type", "leaf_index"),
    Index("entries_latest", "latest", "leaf_index"),
    Index("entries_referral_id", "referral_id", "leaf_index"),
)

# The organisations by which an entry is found: sender and receiver, although the leaf names only one of them.
ORGANIZATIONS = Table(
    "organizations",
    METADATA,
    Column("organization", Text, primary_key=True),
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# The openings of the leaves' commitments: the salt and the event's data.
OPENINGS = Table(
    "openings",
    METADATA,
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
    Column("data", Json, nullable=False),
)

# Other search keys of an entry: see `domain.facets`. They are erased together with the opening.
FACETS = Table(
    "facets",
    METADATA,
    Column("facet", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("leaf_index", RowNumber, primary_key=True, autoincrement=False),
    # Erasure finds the rows of an entry through this index.
    Index("facets_leaf_index", "leaf_index"),
    sqlite_with_rowid=False,
)

# Referrals that have ended, for the retention of their openings. `pending`: something may still have to be
# erased, at once after a revoked consent, otherwise when the retention time after `closed_at` is over.
CLOSURES = Table(
    "closures",
    METADATA,
    Column("referral_id", Text, primary_key=True),
    Column("closed_at", Instant, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("pending", Boolean, nullable=False),
    Index("closures_due", "pending", "revoked", "closed_at"),
)

# One row, number 1: the secret from which the keys of referrals are derived (`domain.leaf`).
TAG_SECRET = Table(
    "tag_secret",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("secret", LargeBinary, nullable=False),
)

# Adjacent tree nodes of one level (0 included) that one batch completed: 32 bytes each, concatenated.
NODES = Table(
    "nodes",
    METADATA,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("first", RowNumber, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# One row, number 1: the number of entries whose receipts have been sent.
PUBLICATION = Table(
    "publication",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", RowNumber, nullable=False),
)

# The receipts that are due to authors once the published log has `size` entries, a row for each author in one
# appended batch. `digests`: SHA-256 of each event's bytes, concatenated.
DUE_RECEIPTS = Table(
    "due_receipts",
    METADATA,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("size", RowNumber, nullable=False),
    Column("author", Text, nullable=False),
    Column("digests", LargeBinary, nullable=False),
)

# The last cosignature of each witness. `signature` is the part after the key id in the note's line.
WITNESSES = Table(
    "witnesses",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("size", RowNumber, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("time", Instant, nullable=False),
)

# How far earlier checks of the log have read: `checked` and `round`. Used only as far as it can be proved.
CHECKS = Table(
    "checks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("frontier", LargeBinary, nullable=False),
    Column("latest", Instant),
    Column("lateness", RowNumber, nullable=False),  # microseconds
    Column("time", Instant, nullable=False),
)

# One row, number 1: the entries in `[start, stop)` were appended before facets existed and still lack them.
UNFILED = Table(
    "unfiled",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("start", RowNumber, nullable=False),
    Column("stop", RowNumber, nullable=False),
)
