"""The directory's schema."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, MetaData, String, Table

from runtime.messaging.tables import messaging_tables
from runtime.storage.columns import Instant, Json

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)


def _standing(name: str, *more: Column[str] | Index) -> Table:
    """Return a table of current entries, one row each."""
    return Table(
        name,
        METADATA,
        Column("id", String(100), primary_key=True),
        Column("revision", Integer, nullable=False),
        Column("record", Json, nullable=False),
        *more,
    )


ORGANIZATIONS = _standing(
    "organizations",
    Column("kind", String(40), nullable=False),
    Column("country", String(2), nullable=False),
)
AGREEMENTS = _standing("agreements")
TOKEN_KEYS = _standing("token_keys")
CLIENTS = _standing("clients")

# Append-only.
REVISIONS = Table(
    "revisions",
    METADATA,
    Column("subject", String(40), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("previous", Integer),
    Column("changed_by", String(100), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("record", Json, nullable=False),
)

# The search index of offered services; the organisation's record is authoritative.
SERVICES = Table(
    "services",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("record", Json, nullable=False),
)


def _of_service(name: str, column: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("organization", String(100), primary_key=True),
        Column("service", String(60), primary_key=True),
        Column(column, String(60), primary_key=True),
        ForeignKeyConstraint(
            ["organization", "service"], ["services.organization", "services.service"], ondelete="CASCADE"
        ),
        Index(f"{name}_{column}", column, "organization", "service"),
    )


SERVICE_NEEDS = _of_service("service_needs", "need")
SERVICE_AREAS = _of_service("service_areas", "area")
