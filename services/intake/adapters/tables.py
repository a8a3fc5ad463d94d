"""Intake's tables. Only the outbox stores sealed cases, and only until the broker has them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table

from runtime.messaging.tables import messaging_tables, replica_table
from runtime.storage.columns import Instant

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)

SUBMISSIONS = Table(
    "submissions",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("submitted_at", Instant, nullable=False),
)

# Admitted answers, reports and notes, for as long as Idempotency-Keys are kept: so that each can be found.
# fact: the routing key of its first event.
COMMANDS = Table(
    "commands",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Column("fact", String(100), nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Index("commands_referral", "referral_id"),
    Index("commands_submitted_at", "submitted_at"),
)

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),  # digest of the body's bytes
    Column("understood", String(64)),  # digest of the parsed body; null: a key of an earlier build
    Column("answer_id", String(36), nullable=False),
    Column("used_at", Instant, nullable=False),
    Index("idempotency_keys_used_at", "used_at"),
)

# The ids of all sealing keys that an organisation has published, as far as intake has seen them.
SEALING_KEYS = Table(
    "sealing_keys",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("kid", String(100), primary_key=True),
)

# The vault's transit key that intake seals to: one row, or none before the vault has published one.
TRANSIT_KEYS = Table(
    "transit_keys",
    METADATA,
    Column("kid", String(100), primary_key=True),
    Column("x", String(100), nullable=False),
    Column("published_at", Instant, nullable=False),
)

# How many messages each process has sealed to it.
TRANSIT_COUNTS = Table(
    "transit_counts",
    METADATA,
    Column("kid", String(100), primary_key=True),
    Column("process", String(36), primary_key=True),
    Column("messages", BigInteger, nullable=False),
)

# The sealed cases of referrals that have not ended, as admitted; and their sum for each sender.
CASES_IN_CUSTODY = Table(
    "cases_in_custody",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    # For the sum of a sender's cases, from the index alone.
    Index("cases_in_custody_sender", "sender", "bytes"),
)
# The notes of open referrals, as admitted, by author; delivery keeps them until the referral ends.
NOTES_KEPT = Table(
    "notes_kept",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("author", String(100), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    # For the sum of an author's notes, from the index alone.
    Index("notes_kept_author", "author", "bytes"),
)
CUSTODY_SUMS = Table(
    "custody_sums",
    METADATA,
    Column("sender", String(100), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

OFFERS = Table(
    "offers",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Index("offers_referral", "referral_id", "organization"),
)
