"""Routing's tables. No column holds personal data."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table, text

from runtime.messaging.tables import messaging_tables, replica_changes_table, replica_table
from runtime.storage.columns import Instant, Json, RowNumber

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)
# Each change of the directory as routing read it, for `recomputation.py`.
DIRECTORY_CHANGES = replica_changes_table(METADATA)

_HELD = text("status IN ('accepted', 'in_progress', 'on_hold')")

REFERRALS = Table(
    "referrals",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("status", String(20), nullable=False),
    Column("acceptor", String(100)),
    Column("outcome", String(30)),
    Column("facts", Json, nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("due_at", Instant),
    Index("referrals_sender", "sender", "id"),
    Index("referrals_status", "status", "id"),
    # A partial index of referrals with a deadline stays small as the table grows.
    Index(
        "referrals_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    # For the accepted referrals of a suspended organisation.
    Index("referrals_held", "acceptor", sqlite_where=_HELD, postgresql_where=_HELD),
)

OFFERS = Table(
    "offers",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Column("service", String(60), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("reason", String(50)),
    # The coordinator who placed the referral, if one did.
    Column("placed_by", String(100)),
    Index("offers_referral", "referral_id", "id"),
    Index("offers_organization", "organization", "referral_id"),
    Index(
        "offers_deadline",
        "deadline",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    # For the open offers of a suspended organisation.
    Index(
        "offers_open",
        "organization",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("decided_at", Instant, nullable=False),
    # Byte for byte what the log's commitment covers.
    Column("record", Json, nullable=False),
    # The commitment's salt; null in decisions of earlier builds, which the log does not know.
    Column("salt", LargeBinary),
    Index("decisions_referral", "referral_id", "id"),
)

TIMELINE = Table(
    "timeline",
    METADATA,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("referral_id", String(36), nullable=False),
    Column("time", Instant, nullable=False),
    Column("fact", String(60), nullable=False),
    Column("organization", String(100)),
    Column("detail", Json, nullable=False),
    Index("timeline_referral", "referral_id", "number"),
)

OBSERVATIONS = Table(
    "observations",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("answered", Integer, nullable=False),
    Column("expired", Integer, nullable=False),
    Column("answer_seconds", RowNumber, nullable=False),
    Column("held", Integer, nullable=False),
    Column("asked", Integer, nullable=False),
)

# Open offers and waiting referrals, by candidate, sender and urgency. Pairs without either have no row.
DEMAND = Table(
    "demand",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("sender", String(100), primary_key=True),
    Column("urgency", String(20), primary_key=True),
    Column("offers", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
)

# The candidates of unplaced referrals that lack only a place. since: when the referral was submitted.
WAITING = Table(
    "waiting",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("urgency", String(20), nullable=False),
    Column("since", Instant, nullable=False),
    Index("waiting_queue", "organization", "service", "sender", "urgency", "since", "referral_id"),
)

# Idempotency-Keys of placements. content: the digest of the parsed request.
PLACEMENT_KEYS = Table(
    "placement_keys",
    METADATA,
    Column("coordinator", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("content", String(64), nullable=False),
    Column("submission_id", String(36), nullable=False),
    Column("used_at", Instant, nullable=False),
    Index("placement_keys_used_at", "used_at"),
)

# Accepted referrals whose acceptor was reported as suspended, so that one suspension is reported once.
SUSPENDED_ACCEPTORS = Table(
    "suspended_acceptors",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("organization", String(100), primary_key=True),
    Index("suspended_acceptors_organization", "organization"),
)

# Append-only. The highest number is in force. digest: of the content, see `policy_document.py`.
POLICIES = Table(
    "policies",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("applied_by", String(200), nullable=False),
    Column("applied_at", Instant, nullable=False),
)
