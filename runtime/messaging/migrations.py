"""Steps of the services' migrations that change the messaging tables. A released step never changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


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
