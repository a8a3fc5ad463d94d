"""Steps of the services' migrations that change the messaging tables. A released step never changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def create_inbox() -> None:
    """Create the table of the messages that a consumer has processed."""
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id"),
    )
    op.create_index("inbox_received_at", "inbox", ["received_at"])


def create_outbox() -> None:
    """Create the table of the messages that wait for the broker."""
    op.create_table(
        "outbox",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("exchange", sa.String(length=100), nullable=False),
        sa.Column("routing_key", sa.String(length=200), nullable=False),
        sa.Column("partition_key", sa.String(length=200), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )


def create_replica() -> None:
    """Create the table of the directory's records that a service keeps."""
    op.create_table(
        "replica",
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("change", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type", "key"),
    )
    op.create_index("replica_change", "replica", ["change"])


def create_retries() -> None:
    """Create the table of the messages that are tried again later."""
    op.create_table(
        "retries",
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("routing_key", sa.String(length=200), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id"),
    )
    op.create_index("retries_due", "retries", ["consumer", "due_at"])


def add_signatures() -> None:
    """Add the signatures of waiting messages, and the newest manifest that the service has used.

    A message that waited before has no signature, and is dead-lettered at its next attempt.
    """
    with op.batch_alter_table("retries") as retries:
        retries.add_column(sa.Column("signed", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "manifests",
        sa.Column("hub", sa.String(length=2), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hub"),
    )


def add_unreceipted() -> None:
    """Add the copies of published events. Events published before have none."""
    op.create_table(
        "unreceipted",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest", sa.String(length=44), nullable=False),
        sa.Column("partition_key", sa.String(length=200), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("unreceipted_digest", "unreceipted", ["digest"], unique=True)
    op.create_index("unreceipted_published_at", "unreceipted", ["published_at"])


def add_log_offers() -> None:
    """Add the record of events that were offered to the log again."""
    op.create_table(
        "log_offers",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def add_row_codes() -> None:
    """Add the codes of a replica's rows. Rows without one are not used: the owner sends them again."""
    op.add_column("replica", sa.Column("code", sa.LargeBinary(), nullable=True))


def drop_row_codes() -> None:
    """Undo `add_row_codes`."""
    with op.batch_alter_table("replica") as replica:
        replica.drop_column("code")


def drop_log_offers() -> None:
    """Undo `add_log_offers`."""
    op.drop_table("log_offers")


def drop_unreceipted() -> None:
    """Undo `add_unreceipted`."""
    op.drop_table("unreceipted")


def drop_signatures() -> None:
    """Undo `add_signatures`."""
    op.drop_table("manifests")
    with op.batch_alter_table("retries") as retries:
        retries.drop_column("signed")
