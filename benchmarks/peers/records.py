"""The tables of the peers in one schema; each service has its own database and uses its part."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table

from runtime.storage.database import Database

METADATA = MetaData()

SUBMISSIONS = Table(
    "submissions",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Column("case", LargeBinary),
)
REFERRALS = Table(
    "referrals",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("status", String(20), nullable=False),
    Column("acceptor", String(100)),
    Column("outcome", String(20)),
    Column("decision", LargeBinary),
)
OFFERS = Table(
    "offers",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Column("state", String(20), nullable=False),
)
MAILBOX = Table(
    "mailbox",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("organization", String(100), nullable=False),
    Column("message_id", String(36), nullable=False),
    Column("type", String(100), nullable=False),
    Column("referral_id", String(36), nullable=False),
    Column("state", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("mailbox_waiting", "organization", "state", "sequence"),
    Index("mailbox_message", "message_id", "organization"),
)
ENTRIES = Table(
    "entries",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("message_id", String(36), nullable=False, unique=True),
    Column("type", String(100), nullable=False, index=True),
    Column("referral_id", String(36), nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
)


def open_database(path: Path) -> Database:
    """Open a database with Kopuro's settings (WAL, synchronous=FULL), and create missing tables."""
    database = Database.open(f"sqlite:///{path}")
    METADATA.create_all(database.engine)
    return database
