"""The messaging tables in every service's database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

from runtime.storage.columns import Instant, Json, RowNumber


@dataclass(frozen=True, kw_only=True, slots=True)
class MessagingTables:
    """outbox: messages to publish; inbox: keys of processed messages (`inbox.Identity`); retries: messages to
    process again; manifests: the newest version of each hub's manifest that was used; unreceipted:
    copies of published events until audit's receipt (`outbox/unreceipted.py`); log_offers: how many events
    were offered to the log again (`outbox/log_offers.py`).
    """

    outbox: Table
    inbox: Table
    retries: Table
    manifests: Table
    unreceipted: Table
    log_offers: Table


def messaging_tables(metadata: MetaData) -> MessagingTables:
    """Declare the messaging tables in a service's metadata."""
    outbox = Table(
        "outbox",
        metadata,
        Column("number", RowNumber, primary_key=True, autoincrement=True),
        Column("message_id", String(64), nullable=False),
        Column("exchange", String(100), nullable=False),
        Column("routing_key", String(200), nullable=False),
        Column("partition_key", String(200), nullable=False),
        Column("headers", Json, nullable=False),
        Column("body", LargeBinary, nullable=False),
        # Never reuse a number: the relay publishes in the order of commits.
        sqlite_autoincrement=True,
    )
    inbox = Table(
        "inbox",
        metadata,
        Column("consumer", String(100), primary_key=True),
        Column("message_id", String(64), primary_key=True),
        Column("received_at", Instant, nullable=False),
        Index("inbox_received_at", "received_at"),
    )
    retries = Table(
        "retries",
        metadata,
        Column("consumer", String(100), primary_key=True),
        Column("message_id", String(64), primary_key=True),
        Column("queue", String(100), nullable=False),
        Column("routing_key", String(200), nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("signed", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("first_seen", Instant, nullable=False),
        Column("due_at", Instant, nullable=False),
        Column("reason", String(500), nullable=False),
        Index("retries_due", "consumer", "due_at"),
    )
    manifests = Table(
        "manifests",
        metadata,
        Column("hub", String(2), primary_key=True),
        Column("version", BigInteger, nullable=False),
    )
    unreceipted = Table(
        "unreceipted",
        metadata,
        Column("number", RowNumber, primary_key=True, autoincrement=True),
        # Base64 SHA-256 of the first event's bytes.
        Column("digest", String(44), nullable=False),
        Column("partition_key", String(200), nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("published_at", Instant, nullable=False),
        Column("offers", Integer, nullable=False),
        Column("due_at", Instant, nullable=False),
        Index("unreceipted_digest", "digest", unique=True),
        Index("unreceipted_published_at", "published_at"),
    )
    log_offers = Table(
        "log_offers",
        metadata,
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("events", BigInteger, nullable=False),
        Column("last_at", Instant, nullable=False),
    )
    return MessagingTables(
        outbox=outbox,
        inbox=inbox,
        retries=retries,
        manifests=manifests,
        unreceipted=unreceipted,
        log_offers=log_offers,
    )


def replica_table(metadata: MetaData) -> Table:
    """Declare the table of a replica, for services that keep one."""
    return Table(
        "replica",
        metadata,
        Column("type", String(100), primary_key=True),
        Column("key", String(200), primary_key=True),
        Column("revision", RowNumber, nullable=False),
        # Increases with every change: in-memory views read the rows that are newer than theirs.
        Column("change", RowNumber, nullable=False),
        Column("data", Json, nullable=False),
        # See `row_code`; null in rows of earlier builds, which are not used.
        Column("code", LargeBinary),
        Index("replica_change", "change"),
    )


def replica_changes_table(metadata: MetaData) -> Table:
    """Declare the table of a replica's history (`replica.ReplicaHistory`). Append-only.

    change: the replica's change number. digest: of the entry, see `replica.entry_digest`; null for changes
    before the table existed.
    """
    return Table(
        "replica_changes",
        metadata,
        Column("change", RowNumber, primary_key=True, autoincrement=False),
        Column("type", String(100), nullable=False),
        Column("key", String(200), nullable=False),
        Column("revision", RowNumber, nullable=False),
        Column("digest", String(64)),
    )
