"""The tables that messaging keeps in every service's database, beside the service's own."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, String, Table

from runtime.storage.columns import Instant, Json, RowNumber


@dataclass(frozen=True, kw_only=True, slots=True)
class MessagingTables:
    """outbox: what is to be published; inbox: what has taken effect; retries: what is tried again."""

    outbox: Table
    inbox: Table
    retries: Table


def messaging_tables(metadata: MetaData) -> MessagingTables:
    """Declares them in a service's metadata."""
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
        # A number once used is never used again: the relay's order is the order of commits.
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
        Column("attempts", Integer, nullable=False),
        Column("first_seen", Instant, nullable=False),
        Column("due_at", Instant, nullable=False),
        Column("reason", String(500), nullable=False),
        Index("retries_due", "consumer", "due_at"),
    )
    return MessagingTables(outbox=outbox, inbox=inbox, retries=retries)


def replica_table(metadata: MetaData) -> Table:
    """Declares the local copy of another service's records, for services that keep one."""
    return Table(
        "replica",
        metadata,
        Column("type", String(100), primary_key=True),
        Column("key", String(200), primary_key=True),
        Column("revision", RowNumber, nullable=False),
        # Rises with every change to the copy: readers in memory ask for what is newer than they have.
        Column("change", RowNumber, nullable=False),
        Column("data", Json, nullable=False),
        Index("replica_change", "change"),
    )
